import { ContainerError, isContainerError } from '../../core/errors.ts'
import type { ImageReference } from '../../p2p/link.ts'
import type { Manifest } from '../../image/format/manifest.ts'
import { monotonicMs } from '../../core/monotonic-clock.ts'
import { cancelled, pause, sharedController, untilAborted } from '../../core/abort.ts'
import { DaemonClient } from './client.ts'
import type { HomePaths } from '../../home/home.ts'
import type { ImageNews } from './image-session.ts'
import { METHODS, type OpenTiming } from '../../rpc/protocol.ts'
import type { Method } from '../../rpc/method.ts'

/** How often a daemon that is gone is looked for. */
const RECONNECT_PAUSES_MS = [20, 50, 100, 250, 500, 1_000]

export interface ImageConnectionOptions {
  readonly paths: HomePaths
  readonly image: ImageReference
  readonly peerTimeoutMs: number
  readonly offline: boolean
  readonly signal?: AbortSignal
}

interface Attached {
  readonly client: DaemonClient
  readonly handle: number
}

/**
 * An image that was opened through a daemon. If the daemon dies, requests wait for the next one and are repeated.
 * The version is fixed once the image is open.
 */
export class ImageConnection implements Disposable {
  /** With version and secret. */
  readonly link: ImageReference
  /** Drive key in z-base-32. */
  readonly key: string
  readonly manifest: Manifest
  readonly news: ImageNews
  /** How opening went: in the daemon, and when that was reached. */
  readonly timing: OpenTiming & { readonly daemonMs: number }
  /** Stored bytes of it that the daemon had fetched before it was asked. */
  readonly fetchedBefore: number
  readonly #options: ImageConnectionOptions
  readonly #closed = sharedController()
  #attached: Promise<Attached>
  #goneMs: number | undefined
  #fillRanges: readonly (readonly [number, number])[] | undefined

  private constructor(
    options: ImageConnectionOptions,
    opened: Attached &
      Pick<ImageConnection, 'link' | 'key' | 'manifest' | 'news' | 'timing' | 'fetchedBefore'>
  ) {
    this.#options = options
    this.link = opened.link
    this.key = opened.key
    this.manifest = opened.manifest
    this.news = opened.news
    this.timing = opened.timing
    this.fetchedBefore = opened.fetchedBefore
    this.#attached = Promise.resolve(opened)
  }

  static async open(options: ImageConnectionOptions): Promise<ImageConnection> {
    const client = await DaemonClient.connect(options.paths)
    const daemonMs = monotonicMs()
    const signal = options.signal ?? new AbortController().signal
    try {
      const { image, peerTimeoutMs, offline } = options
      const opened = await untilAborted(
        client.request(METHODS.open, { image, peerTimeoutMs, offline }),
        signal
      )
      const timing = { ...opened.timing, daemonMs }
      const { mayBeOld, forked, manifest } = opened
      const news = { version: manifest.version, mayBeOld, forked }
      return new ImageConnection(options, { client, ...opened, news, timing })
    } catch (error) {
      // Hanging up makes the daemon give up what it still does for us.
      client[Symbol.dispose]()
      if (signal.aborted) throw cancelled()
      throw error
    }
  }

  /** Since when the daemon has been gone, by `monotonicMs`; undefined while it is there. */
  get goneMs(): number | undefined {
    return this.#goneMs
  }

  /**
   * Calls a method of the opened image, again on every new daemon until one answers.
   *
   * @param patienceMs gives up with `DAEMON_UNREACHABLE` when the daemon has been gone for so long
   */
  async request<Request extends { readonly handle: number }, Response>(
    method: Method<Request, Response>,
    request: Omit<Request, 'handle'>,
    signal?: AbortSignal,
    patienceMs?: number
  ): Promise<Response> {
    const until = signal ? AbortSignal.any([signal, this.#closed.signal]) : this.#closed.signal
    for (;;) {
      until.throwIfAborted()
      const { client, handle } = await this.#attach(patienceMs, until)
      try {
        return await untilAborted(client.request(method, { ...request, handle } as Request), until)
      } catch (error) {
        until.throwIfAborted()
        if (!isContainerError(error, 'DAEMON_UNREACHABLE') || !client.isClosed) throw error
      }
    }
  }

  /**
   * @param timeoutMs gives up with `PEERS_UNREACHABLE`; undefined waits for ever
   * @returns the stored bytes of one block
   */
  readBlock(block: number, timeoutMs: number | undefined, signal?: AbortSignal): Promise<Buffer> {
    const request = timeoutMs === undefined ? { block } : { block, timeoutMs }
    return this.request(METHODS.block, request, signal)
  }

  /**
   * Does what {@link readBlock} does, with a time-out that all waiting reads share: it runs from the moment when peers, or the
   * daemon, were lost.
   */
  readMounted(
    block: number,
    {
      sinceMs,
      timeoutMs
    }: {
      /** When the block was first requested, by `monotonicMs`. */
      readonly sinceMs: number
      /** Undefined waits for ever. */
      readonly timeoutMs: number | undefined
    }
  ): Promise<Buffer> {
    const request = { block, sinceMs, ...(timeoutMs === undefined ? {} : { timeoutMs }) }
    return this.request(METHODS.block, request, undefined, timeoutMs)
  }

  /**
   * Does what {@link readBlock} does, and checks a block that is already local as when it arrived. A damaged one is fetched
   * again.
   *
   * @throws ContainerError `BAD_BLOCK` where it is damaged and nobody gives it
   */
  readChecked(block: number, timeoutMs: number | undefined, signal?: AbortSignal): Promise<Buffer> {
    const request = timeoutMs === undefined ? { block } : { block, timeoutMs }
    return this.request(METHODS.block, { ...request, checked: true }, signal)
  }

  /** Does what {@link readBlock} does, for a block that nobody waits for yet. */
  readAhead(block: number): Promise<Buffer> {
    return this.request(METHODS.block, { block, ahead: true })
  }

  /** Has the daemon, and every later one, fetch blocks in the background. */
  async fill(ranges: readonly (readonly [number, number])[]): Promise<void> {
    this.#fillRanges = ranges
    await this.request(METHODS.fill, { ranges, wait: false })
  }

  [Symbol.dispose](): void {
    this.#closed.abort(new ContainerError('CANCELLED', 'the image was closed'))
    this.#attached.then(({ client }) => client[Symbol.dispose]()).catch(() => {})
  }

  async #attach(patienceMs: number | undefined, until: AbortSignal): Promise<Attached> {
    const current = await this.#attached
    if (!current.client.isClosed) return current
    this.#goneMs ??= monotonicMs()
    // The first request that notices reattaches; the others wait for the same promise.
    this.#reattaching ??= this.#reattach().finally(() => (this.#reattaching = undefined))
    const again = untilAborted(this.#reattaching, until)
    if (patienceMs === undefined) return again
    const ended = new AbortController()
    try {
      const leftMs = Math.max(0, this.#goneMs + patienceMs - monotonicMs())
      const found = await Promise.race([again, pause(leftMs, ended.signal)])
      if (found !== undefined) return found
      throw new ContainerError(
        'DAEMON_UNREACHABLE',
        `the daemon has been gone for ${Math.round(patienceMs / 100) / 10} s`,
        { hint: 'start it: dat-container daemon start' }
      )
    } finally {
      ended.abort()
    }
  }

  #reattaching: Promise<Attached> | undefined

  async #reattach(): Promise<Attached> {
    const { signal } = this.#closed
    for (let attempt = 0; ; attempt++) {
      signal.throwIfAborted()
      const client = await DaemonClient.reconnect(this.#options.paths)
      if (client instanceof DaemonClient) {
        const attached = await this.#reopen(client)
        if (attached) {
          this.#attached = Promise.resolve(attached)
          this.#goneMs = undefined
          return attached
        }
      }
      const longest = RECONNECT_PAUSES_MS.length - 1
      await pause(RECONNECT_PAUSES_MS[Math.min(attempt, longest)] ?? 0, signal)
    }
  }

  async #reopen(client: DaemonClient): Promise<Attached | undefined> {
    try {
      const { handle } = await client.request(METHODS.open, {
        image: this.link,
        peerTimeoutMs: this.#options.peerTimeoutMs,
        offline: this.#options.offline
      })
      const ranges = this.#fillRanges
      if (ranges) await client.request(METHODS.fill, { handle, ranges, wait: false })
      return { client, handle }
    } catch (error) {
      client[Symbol.dispose]()
      // After `repair`, a store is as good as new.
      if (isContainerError(error, 'PEERS_UNREACHABLE', 'DAEMON_UNREACHABLE', 'STORE_DAMAGED'))
        return undefined
      throw error
    }
  }
}
