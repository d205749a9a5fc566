import type { Logger } from 'pino'
import { sharedController } from '../../core/abort.ts'
import { isContainerError } from '../../core/errors.ts'
import type { Link } from '../../p2p/link.ts'
import type { Following } from '../catalog/channel-catalog.ts'
import { News } from './news.ts'

/** New records wake it; this is for those that were missed. */
const LOOK_MS = 600_000
/** While an image comes that takes the place of another one, and after a failure. */
const RETRY_MS = 2_000

/** Keeps images because a channel names them. Keys are drive keys in hex. */
export interface FollowedImages {
  /**
   * Has an image kept from now on, unless the user keeps it already.
   *
   * @throws ContainerError `PEERS_UNREACHABLE`, after which it may be kept all the same
   */
  keepNamed(link: Link, how: Pick<Following, 'how' | 'quota'>, signal: AbortSignal): Promise<void>
  /** Whether all that is to be kept of it is here. */
  isKept(key: string): boolean
  /**
   * Ends what {@link keepNamed} began, and frees the image if nobody else asked for it.
   *
   * @returns false where a container or a mount uses it, so that it has to wait
   */
  releaseNamed(key: string): Promise<boolean>
  /** Has it kept from now on as if the user had asked for that. */
  adoptNamed(key: string): Promise<void>
}

export interface ChannelFollowerOptions {
  readonly images: FollowedImages
  /** How it is followed now; undefined when it is no longer. */
  readonly following: () => Following | undefined
  readonly note: (following: Following) => Promise<void>
  /** Finds what the channel names now. @throws ContainerError `ROLLED_BACK` and others where that is not taken */
  readonly named: (signal: AbortSignal) => Promise<Link>
  /** Whether another channel that is followed names the image. */
  readonly isNamedElsewhere: (key: string) => boolean
  readonly log: Logger
}

/** Keeps what one channel names: the new image as soon as it names another, and the old one until the new one is complete. */
export class ChannelFollower implements AsyncDisposable {
  readonly #options: ChannelFollowerOptions
  readonly #closed = sharedController()
  readonly #ended: Promise<void>
  readonly #news = new News()
  /** What was said last of a record that is not taken. */
  #refused: string | undefined

  constructor(options: ChannelFollowerOptions) {
    this.#options = options
    this.#ended = this.#run()
  }

  /** There may be a newer record. */
  wake(): void {
    this.#news.note()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort(new Error('the channel is no longer followed'))
    await this.#ended
  }

  async #run(): Promise<void> {
    const { signal } = this.#closed
    while (!signal.aborted) {
      this.#news.taken()
      let isSettled = false
      try {
        await this.#keepNewest()
        isSettled = await this.#releaseOld()
      } catch (err) {
        if (!signal.aborted) this.#options.log.debug({ err }, 'could not keep what a channel names')
      }
      await this.#news.rest(isSettled ? LOOK_MS : RETRY_MS, signal)
    }
  }

  async #keepNewest(): Promise<void> {
    const { images, following, note, log } = this.#options
    const { signal } = this.#closed
    const link = await this.#newest()
    const now = following()
    if (link === undefined || now === undefined) return
    const key = link.key.toString('hex')
    if (now.image !== key) {
      const before = now.image === null ? [] : [now.image]
      // First noted: what is kept without a note would never be released.
      const leaving = [...new Set([...now.leaving, ...before])].filter((other) => other !== key)
      await note({ ...now, image: key, leaving })
      log.info({ image: key }, 'a channel that is followed names another image')
    }
    await images.keepNamed(link, now, signal)
  }

  /** @returns undefined where what it names now is refused, so that all stays as it is */
  async #newest(): Promise<Link | undefined> {
    try {
      const link = await this.#options.named(this.#closed.signal)
      this.#refused = undefined
      return link
    } catch (err) {
      if (!isContainerError(err, 'ROLLED_BACK', 'BAD_CHANNEL', 'UNSUPPORTED_VERSION')) throw err
      if (err.message !== this.#refused) {
        this.#options.log.warn(
          { err },
          'what a channel names is refused, and the image before it kept'
        )
      }
      this.#refused = err.message
      return undefined
    }
  }

  /** @returns whether nothing is left to do until there is a newer record */
  async #releaseOld(): Promise<boolean> {
    const { images, following, note, isNamedElsewhere } = this.#options
    const now = following()
    if (now === undefined || now.leaving.length === 0) return true
    if (now.image === null || !images.isKept(now.image)) return false
    for (const key of now.leaving) {
      if (!isNamedElsewhere(key) && !(await images.releaseNamed(key))) continue
      const current = following()
      if (current === undefined) return true
      await note({ ...current, leaving: current.leaving.filter((other) => other !== key) })
    }
    return following()?.leaving.length === 0
  }
}
