import type Hypercore from 'hypercore'
import type { CoreStorage, StoreReads } from 'hypercore'
import { replaceMethod } from '../library-seams.ts'

/** One thread of the store's reads them one after the other. */
const MOST_JOINED = 64
const joined = new WeakSet<CoreStorage>()

/**
 * Has what is read of a log in one turn of the event loop go to the store's threads in one trip.
 * hypercore sends a trip for each block, and waking a thread takes longer than finding a small block
 * does. For logs of small blocks that many readers walk side by side; snapshots of a log read on their own.
 *
 * @param log opened
 */
export function batchReads(log: Hypercore): void {
  const { storage } = log.core.state
  if (joined.has(storage)) return
  joined.add(storage)
  const reads = new JoinedReads(storage)
  replaceMethod('CoreStorage.read', storage, (usual) => (fork) => {
    const reader = usual.call(storage, fork)
    // Each reader comes with a trip of its own.
    reader.read.destroy()
    reader.read = reads
    return reader
  })
}

/** Stands for a trip of each reader's own. */
class JoinedReads implements StoreReads {
  readonly #storage: CoreStorage
  #next: StoreReads | undefined
  #count = 0

  constructor(storage: CoreStorage) {
    this.#storage = storage
  }

  get(key: Buffer): Promise<Buffer | null> {
    this.#next ??= this.#begin()
    const value = this.#next.get(key)
    if (++this.#count === MOST_JOINED) this.#send()
    return value
  }

  /** When all that is asked for in this turn has been. */
  tryFlush(): void {}

  destroy(): void {}

  #begin(): StoreReads {
    const reads = this.#storage.db.read({ autoDestroy: true })
    // After the promises that are settled by now have had their say.
    process.nextTick(() => {
      if (this.#next === reads) this.#send()
    })
    return reads
  }

  #send(): void {
    const reads = this.#next
    this.#next = undefined
    this.#count = 0
    reads?.tryFlush()
  }
}
