import { untilAborted } from '../p2p/waiting.ts'

/** Stored bytes: some hundred blocks, as their chunks are read by one reader or a few. */
const CAPACITY_BYTES = 8 * 1024 * 1024

/**
 * The blocks read last: several chunks share one, and whoever reads one of them often reads the next.
 * A read that is under way serves all who ask meanwhile, and goes on when one of them gives up.
 */
export class BlockCache {
  readonly #read: (block: number) => Promise<Uint8Array>
  /** In order of last use. */
  readonly #blocks = new Map<number, Uint8Array>()
  readonly #pending = new Map<number, Promise<Uint8Array>>()
  #bytes = 0

  constructor(read: (block: number) => Promise<Uint8Array>) {
    this.#read = read
  }

  async read(block: number, signal?: AbortSignal): Promise<Uint8Array> {
    const kept = this.#blocks.get(block)
    if (kept !== undefined) {
      this.#blocks.delete(block)
      this.#blocks.set(block, kept)
      return kept
    }
    let pending = this.#pending.get(block)
    if (pending === undefined) {
      pending = this.#fetch(block)
      this.#pending.set(block, pending)
    }
    return signal === undefined ? pending : untilAborted(pending, signal)
  }

  /** A failed read is not kept: the next one asks again. */
  async #fetch(block: number): Promise<Uint8Array> {
    try {
      const stored = await this.#read(block)
      this.#keep(block, stored)
      return stored
    } finally {
      this.#pending.delete(block)
    }
  }

  #keep(block: number, stored: Uint8Array): void {
    this.#blocks.set(block, stored)
    this.#bytes += stored.length
    for (const [oldest, { length }] of this.#blocks) {
      if (this.#bytes <= CAPACITY_BYTES) return
      this.#blocks.delete(oldest)
      this.#bytes -= length
    }
  }
}
