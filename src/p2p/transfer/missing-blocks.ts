import type { BlockPool } from '../crowd/block-choice.ts'

/** Blocks that are to be fetched: taken in the order given, or at random. Those that arrive otherwise drop out. */
export class MissingBlocks implements BlockPool {
  readonly #isHere: (block: number) => boolean
  /** In the order given. */
  readonly #left: Set<number>
  /** The same in any order, and some that were taken. */
  readonly #mixed: number[]

  /** @param isHere whether a block has arrived by now */
  constructor(blocks: Iterable<number>, isHere: (block: number) => boolean) {
    this.#left = new Set(blocks)
    this.#mixed = [...this.#left]
    this.#isHere = isHere
  }

  /** How many are left, and perhaps some that have arrived otherwise. */
  get size(): number {
    return this.#left.size
  }

  /** Takes the first one. */
  takeFirst(): number | undefined {
    for (const block of this.#left) {
      this.#left.delete(block)
      if (!this.#isHere(block)) return block
    }
    return undefined
  }

  take(block: number): void {
    this.#left.delete(block)
  }

  at(random: number): number | undefined {
    for (;;) {
      const place = Math.floor(random * this.#mixed.length)
      const block = this.#mixed[place]
      if (block === undefined) return undefined
      if (this.#left.has(block) && !this.#isHere(block)) return block
      this.#left.delete(block)
      const last = this.#mixed.pop()
      if (last !== undefined && place < this.#mixed.length) this.#mixed[place] = last
    }
  }
}
