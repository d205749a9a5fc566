import type { Logger } from 'pino'
import { ContainerError } from '../../core/errors.ts'
import type { Link } from '../../p2p/link.ts'
import type { ChannelCatalog, ChannelEntry, Following } from '../catalog/channel-catalog.ts'
import { ChannelFollower, type FollowedImages } from './channel-follower.ts'

export interface ChannelFollowingOptions {
  readonly channels: ChannelCatalog
  readonly images: FollowedImages
  /** Finds what a channel names now, by its key in hex. */
  readonly named: (key: string, signal: AbortSignal) => Promise<Link>
  /** Changes the entry of a channel when no other change of it is under way; undefined leaves it. */
  readonly change: (
    key: string,
    changed: (entry: ChannelEntry) => ChannelEntry | undefined
  ) => Promise<void>
  readonly log: Logger
}

/** Follows the channels of a home that are to be followed. Keys are those of channels, in hex. */
export class ChannelFollowing implements AsyncDisposable {
  readonly #options: ChannelFollowingOptions
  readonly #followers = new Map<string, ChannelFollower>()

  constructor(options: ChannelFollowingOptions) {
    this.#options = options
  }

  /** Begins again what was begun before a restart; does nothing for a channel that is not followed. */
  resume(key: string): void {
    const { channels, change, named, images, log } = this.#options
    if (channels.find(key)?.follow === undefined || this.#followers.has(key)) return
    this.#followers.set(
      key,
      new ChannelFollower({
        images,
        following: () => channels.find(key)?.follow,
        note: (follow) => change(key, (entry) => entry.follow && { ...entry, follow }),
        named: (signal) => named(key, signal),
        isNamedElsewhere: (image) =>
          channels.list().some((other) => other.key !== key && other.follow?.image === image),
        log: log.child({ channel: channels.find(key)?.name })
      })
    )
  }

  /** Follows a channel from now on. @throws ContainerError `BAD_LINK` to seed what this home cannot read */
  async begin(key: string, how: Pick<Following, 'how' | 'quota'>): Promise<void> {
    await this.#options.change(key, (entry) => {
      if (how.how === 'seed' && entry.secret === null) throw cannotRead()
      const { image = null, leaving = [] } = entry.follow ?? {}
      return { ...entry, follow: { ...how, image, leaving } }
    })
    this.resume(key)
    this.wake(key)
  }

  /** Keeps what a channel names now, and no longer follows it. @throws ContainerError `NOT_FOUND` */
  async end(key: string): Promise<void> {
    const { channels, images, change } = this.#options
    const { follow, name } = channels.find(key) ?? {}
    if (follow === undefined) {
      throw new ContainerError('NOT_FOUND', `the channel ${name} is not followed here`)
    }
    const follower = this.#followers.get(key)
    this.#followers.delete(key)
    await follower?.[Symbol.asyncDispose]()
    const { image, leaving } = channels.find(key)?.follow ?? follow
    await change(key, ({ follow: _ended, ...entry }) => entry)
    if (image !== null) await images.adoptNamed(image)
    for (const old of leaving) {
      if (this.followerOf(old) === undefined) await images.releaseNamed(old)
    }
  }

  /** There may be a newer record. */
  wake(key: string): void {
    this.#followers.get(key)?.wake()
  }

  /** @param image drive key, hex @returns the name of a channel that is followed and names it */
  followerOf(image: string): string | undefined {
    return this.#options.channels.list().find(({ follow }) => follow?.image === image)?.name
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const followers = [...this.#followers.values()]
    this.#followers.clear()
    await Promise.allSettled(followers.map((follower) => follower[Symbol.asyncDispose]()))
  }
}

function cannotRead(): ContainerError {
  const message = 'this is the mirror link of a channel: it cannot be seeded'
  return new ContainerError('BAD_LINK', message, {
    hint: 'ask for its full link, dat-channel://KEY#SECRET, or use `mirror --follow`'
  })
}
