import { data as hashOf } from 'hypercore-crypto'
import type Hypercore from 'hypercore'
import type { StoreHealth } from './store-health.ts'
import { isDamage } from '../store-error.ts'
import { DAMAGED, UNSTORED } from './unsound-store.ts'

export interface StoreCounters {
  /** Blocks of this log that were found damaged in the store since it was opened here, and dropped. */
  readonly damagedBlocks: number
  /** Blocks that came and could not be stored. */
  readonly unstoredBlocks: number
}

/**
 * What a store has of one log. A block that does not read back is dropped: it is not here any more, so that it is fetched
 * like any other.
 */
export class StoredBlocks implements Disposable {
  readonly #core: Hypercore
  readonly #health: StoreHealth
  readonly #counters = { damagedBlocks: 0, unstoredBlocks: 0 }

  constructor(core: Hypercore, health: StoreHealth) {
    this.#core = core
    this.#health = health
    core.on(DAMAGED, this.#onDamaged)
    core.on(UNSTORED, this.#onUnstored)
  }

  get counters(): StoreCounters {
    return this.#counters
  }

  /**
   * A block that is here, decrypted; undefined where it was damaged.
   *
   * @param checked compares it with the log's tree, as when it came
   */
  async read(block: number, checked: boolean): Promise<Buffer | undefined> {
    try {
      if (!checked || (await this.#isWhole(block))) {
        const found = await this.#core.get(block, { wait: false })
        if (found) return found
      }
      // Somebody else may have dropped it meanwhile.
      if (this.#core.core.bitfield.get(block)) await this.#drop(block)
    } catch (error) {
      if (!isDamage(error)) throw error
      await this.#drop(block, error)
    }
    return undefined
  }

  async #isWhole(block: number): Promise<boolean> {
    const { storage } = this.#core.core.state
    const read = storage.read()
    const [stored, node] = [read.getBlock(block), read.getTreeNode(2 * block)]
    read.tryFlush()
    const [bytes, leaf] = await Promise.all([stored, node])
    return bytes !== null && leaf !== null && hashOf(bytes).equals(leaf.hash)
  }

  async #drop(block: number, error?: unknown): Promise<void> {
    this.#counters.damagedBlocks++
    this.#health.noteDamaged(this.#core.key, block, error)
    await this.#core.clear(block, block + 1)
  }

  /** A peer has asked for it. */
  readonly #onDamaged = (block: number, error: unknown): void => {
    if (!this.#core.core.bitfield.get(block)) return
    // Nobody here waits for it, and others want it from here.
    this.#drop(block, error)
      .then(() => this.#core.get(block))
      .catch(() => {})
  }

  readonly #onUnstored = (block: number, error: unknown): void => {
    this.#counters.unstoredBlocks++
    this.#health.noteUnstored(this.#core.key, block, error)
  };

  [Symbol.dispose](): void {
    this.#core.off(DAMAGED, this.#onDamaged)
    this.#core.off(UNSTORED, this.#onUnstored)
  }
}
