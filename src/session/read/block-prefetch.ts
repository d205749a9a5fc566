/**
 * Reads that are under way at once; each is one request to the daemon for some 50 KB. What was guessed
 * is kept few, as a read that nobody guessed queues behind them.
 */
const GUESS_WINDOW = 12
/**
 * Window for a recorded order, which will be read. A link of 100 Mbit/s and 200 ms holds 48, which is also what the daemon
 * requests of one peer; among several readers, as many more wait for a turn, or for another reader to have them.
 */
export const REPLAY_WINDOW = 96
/** Stored bytes that wait to be claimed at most; more is fetched as these are taken. */
const CAPACITY_BYTES = 32 * 1024 * 1024

export type FetchBlock = (block: number) => Promise<Buffer>

/**
 * Fetches blocks before they are needed, in a given order. It hands out each block once and then drops it, because
 * its content is decoded and in the kernel's page cache by then.
 */
export class BlockPrefetch implements Disposable {
  readonly #fetch: FetchBlock
  readonly #window: number
  /** Blocks that are not requested yet, the next one last. */
  readonly #queue: number[]
  readonly #queued: Set<number>
  readonly #coming = new Map<number, Promise<Buffer>>()
  readonly #here = new Map<number, Buffer>()
  #inFlight = 0
  #keptBytes = 0

  /**
   * @param blocks in the order in which they are fetched; starts at once
   * @param window how many at once
   */
  constructor(fetch: FetchBlock, blocks: readonly number[], window = GUESS_WINDOW) {
    this.#fetch = fetch
    this.#window = window
    this.#queue = blocks.toReversed()
    this.#queued = new Set(blocks)
    this.#pump()
  }

  /**
   * A block that is here, given once, or on its way. Undefined for one that was not asked for yet,
   * which is not fetched ahead any more, because the caller needs it at once.
   */
  take(block: number): Buffer | Promise<Buffer> | undefined {
    this.#queued.delete(block)
    const here = this.#here.get(block)
    if (here === undefined) {
      const coming = this.#coming.get(block)
      this.#coming.delete(block)
      return coming
    }
    this.#here.delete(block)
    this.#keptBytes -= here.length
    this.#pump()
    return here
  }

  /** Forgets what nobody took, and fetches no more. */
  [Symbol.dispose](): void {
    this.#queue.length = 0
    this.#queued.clear()
    this.#coming.clear()
    this.#here.clear()
  }

  #pump(): void {
    while (this.#inFlight < this.#window && this.#keptBytes < CAPACITY_BYTES) {
      const block = this.#queue.pop()
      if (block === undefined) return
      if (!this.#queued.delete(block)) continue
      this.#inFlight++
      const fetched = this.#fetch(block)
      this.#coming.set(block, fetched)
      void this.#arrive(block, fetched)
    }
  }

  async #arrive(block: number, fetched: Promise<Buffer>): Promise<void> {
    try {
      const content = await fetched
      // Not when it was taken on its way.
      if (this.#coming.delete(block)) {
        this.#here.set(block, content)
        this.#keptBytes += content.length
      }
    } catch {
      // A read of the block requests it again and gets the error then.
      this.#coming.delete(block)
    }
    this.#inFlight--
    this.#pump()
  }
}
