import { ContainerError, isContainerError } from '../image/errors.ts'
import type { Manifest } from '../image/manifest.ts'
import { monotonicMs } from '../image/monotonic-clock.ts'
import { cancelled, pause, sharedController, untilAborted } from '../p2p/waiting.ts'
import { DaemonClient } from './client.ts'
import type { HomePaths } from './home.ts'
import { METHODS, type Method, type OpenTiming } from './protocol.ts'

/** How often a daemon that is gone is looked for. */
const RECONNECT_PAUSES_MS = [20, 50, 100, 250, 500, 1_000]

export interface ImageConnectionOptions {
  readonly paths: HomePaths
  readonly image: string
  readonly peerTimeoutMs: number
  readonly offline: boolean
  readonly signal?: AbortSignal
}

interface Attached {
  readonly client: DaemonClient
  readonly handle: number
}

/**
 * One image, opened through a daemon that may die and return: requests wait for the daemon and are
 * asked again. Once opened, the version is pinned.
 */
export class ImageConnection implements Disposable {
  readonly link: string
  readonly manifest: Manifest
  /** How opening went: in the daemon, and when that was reached. */
  readonly timing: OpenTiming & { readonly daemonMs: number }
  readonly #options: ImageConnectionOptions
  readonly #closed = sharedController()
  #attached: Promise<Attached>
  #fillRanges: readonly (readonly [number, number])[] | undefined

  private constructor(
    options: ImageConnectionOptions,
    opened: Attached & Pick<ImageConnection, 'link' | 'manifest' | 'timing'>
  ) {
    this.#options = options
    this.link = opened.link
    this.manifest = opened.manifest
    this.timing = opened.timing
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
      return new ImageConnection(options, { client, ...opened, timing })
    } catch (error) {
      // Hanging up makes the daemon give up what it still does for us.
      client[Symbol.dispose]()
      if (signal.aborted) throw cancelled()
      throw error
    }
  }

  /** Calls a method of the opened image, again on every new daemon until one answers. */
  async request<Request extends { readonly handle: number }, Response>(
    method: Method<Request, Response>,
    request: Omit<Request, 'handle'>,
    signal?: AbortSignal
  ): Promise<Response> {
    const until = signal ? AbortSignal.any([signal, this.#closed.signal]) : this.#closed.signal
    for (;;) {
      until.throwIfAborted()
      const { client, handle } = await untilAborted(this.#attach(), until)
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

  /** As {@link readBlock}, for a block that nobody waits for yet. */
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

  async #attach(): Promise<Attached> {
    const current = await this.#attached
    if (!current.client.isClosed) return current
    // Whoever notices first reattaches; the others wait for the same promise.
    this.#reattaching ??= this.#reattach().finally(() => (this.#reattaching = undefined))
    return this.#reattaching
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
      if (isContainerError(error, 'PEERS_UNREACHABLE', 'DAEMON_UNREACHABLE')) return undefined
      throw error
    }
  }
}
