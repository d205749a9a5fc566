import { isContainerError } from '../../core/errors.ts'
import { News } from './news.ts'

/** New records wake a watch; this is for those that were missed. */
const LOOK_MS = 600_000
/** After a failure to find out what a channel names. */
const RETRY_MS = 5_000

/** Clients that wait until a channel names something else. Keys are those of channels, in hex. */
export class ChannelWatches {
  readonly #named: (key: string, signal: AbortSignal) => Promise<string>
  readonly #waking = new Map<string, Set<() => void>>()

  /** @param named finds the link that a channel names now */
  constructor(named: (key: string, signal: AbortSignal) => Promise<string>) {
    this.#named = named
  }

  has(key: string): boolean {
    return this.#waking.has(key)
  }

  /** There may be a newer record. */
  wake(key: string): void {
    for (const wake of this.#waking.get(key) ?? []) wake()
  }

  /**
   * Waits until a channel names another image than `image`. What is refused, such as a rollback, is waited out.
   *
   * @returns its link
   * @throws ContainerError `NOT_FOUND` when the channel was removed; the signal's reason
   */
  async untilOther(key: string, image: string, signal: AbortSignal): Promise<string> {
    const news = new News()
    const onNews = (): void => news.note()
    const waking = this.#waking.get(key) ?? new Set()
    this.#waking.set(key, waking.add(onNews))
    try {
      for (;;) {
        news.taken()
        const named = await this.#namedNow(key, signal)
        if (named !== undefined && named !== image) return named
        await news.rest(named === undefined ? RETRY_MS : LOOK_MS, signal)
        signal.throwIfAborted()
      }
    } finally {
      waking.delete(onNews)
      if (waking.size === 0) this.#waking.delete(key)
    }
  }

  async #namedNow(key: string, signal: AbortSignal): Promise<string | undefined> {
    try {
      return await this.#named(key, signal)
    } catch (error) {
      signal.throwIfAborted()
      if (!isContainerError(error) || error.code === 'NOT_FOUND') throw error
      return undefined
    }
  }
}
