import { pause } from '../../core/abort.ts'
import { isContainerError } from '../../core/errors.ts'
import { monotonicMs } from '../../core/monotonic-clock.ts'
import type { ImageConnection } from '../connection/image-connection.ts'
import type { WaitingBlock } from '../connection/image-session.ts'
import { BlockPrefetch } from './block-prefetch.ts'

/** Maximum number of blocks that stay requested after a read of them failed. Their arrival shows that peers are back. */
const MOST_LOST = 16
/**
 * How long a read waits for a block that was requested ahead before it requests the block itself. If it did so
 * at once, the daemon would send most blocks twice.
 */
const ON_ITS_WAY_MS = 250

/**
 * Reads the blocks of an image: takes those that were fetched ahead, requests the others, and knows which
 * reads wait. A block that nobody delivered in time stays requested: until it arrives the loss lasts, and other
 * reads do not wait the whole time-out again.
 */
export class BlockReads implements Disposable {
  readonly #connection: Pick<ImageConnection, 'readAhead' | 'readMounted'>
  readonly #timeoutMs: number | undefined
  readonly #waiting = new Set<{ block: number; sinceMs: number; hasFailed: boolean }>()
  readonly #lost = new Map<number, number>()
  readonly #cameAhead = new Set<number>()
  #ahead: BlockPrefetch | undefined
  /** Called when a block begins to be waited for. */
  onWait: (() => void) | undefined

  /** @param timeoutMs how long peers may be lost before reads fail; undefined: reads wait for ever */
  constructor(
    connection: Pick<ImageConnection, 'readAhead' | 'readMounted'>,
    timeoutMs: number | undefined
  ) {
    this.#connection = connection
    this.#timeoutMs = timeoutMs
  }

  /** The blocks that are waited for now. */
  get waiting(): Iterable<WaitingBlock> {
    return this.#waiting
  }

  /** Whether a read found this block fetched, or requested, ahead. */
  cameAhead(block: number): boolean {
    return this.#cameAhead.has(block)
  }

  /** Fetches blocks before they are read, in this order. @param window how many at once; see {@link BlockPrefetch} */
  fetchAhead(blocks: readonly number[], window: number | undefined): void {
    this.#ahead = new BlockPrefetch((block) => this.#connection.readAhead(block), blocks, window)
  }

  /**
   * Reads one block. Nothing is kept of it here.
   *
   * @returns its stored bytes
   * @throws ContainerError `PEERS_UNREACHABLE`, `DAEMON_UNREACHABLE` after the time-out, and what the daemon answers
   */
  async read(block: number): Promise<Buffer> {
    const ahead = this.#ahead?.take(block)
    if (ahead === undefined) return this.#request(block)
    this.#cameAhead.add(block)
    if (!(ahead instanceof Promise)) return ahead
    const soon = await Promise.race([ahead.catch(() => {}), pause(ON_ITS_WAY_MS)])
    if (soon !== undefined) return soon
    // Requested again: the daemon then knows that somebody waits, and how long that may take. One request
    // to the peers serves both.
    const read = this.#request(block)
    return Promise.race([read, ahead.catch(() => read)])
  }

  /** Drops what was fetched ahead and not read, and fetches no more ahead. */
  [Symbol.dispose](): void {
    this.#ahead?.[Symbol.dispose]()
  }

  async #request(block: number): Promise<Buffer> {
    const sinceMs = this.#lost.get(block) ?? monotonicMs()
    const waiting = { block, sinceMs, hasFailed: false }
    this.#waiting.add(waiting)
    this.onWait?.()
    try {
      return await this.#connection.readMounted(block, { sinceMs, timeoutMs: this.#timeoutMs })
    } catch (error) {
      if (isContainerError(error, 'PEERS_UNREACHABLE', 'DAEMON_UNREACHABLE'))
        this.#keepRequesting(block, sinceMs)
      throw error
    } finally {
      this.#waiting.delete(waiting)
    }
  }

  #keepRequesting(block: number, sinceMs: number): void {
    if (this.#lost.has(block) || this.#lost.size >= MOST_LOST) return
    const waiting = { block, sinceMs, hasFailed: true }
    this.#lost.set(block, sinceMs)
    this.#waiting.add(waiting)
    this.onWait?.()
    this.#connection
      .readMounted(block, { sinceMs, timeoutMs: undefined })
      // The next read of it is told what is wrong.
      .catch(() => {})
      .finally(() => {
        this.#lost.delete(block)
        this.#waiting.delete(waiting)
      })
  }
}
