/** What is wrong with a store, as its daemon has met it since it started. */
export interface StoreTrouble {
  /** Blocks that did not read back as they were stored, and were dropped, to be fetched anew. */
  readonly damagedBlocks: number
  /** Blocks that were handed on without being stored, as the store took no more. */
  readonly unstoredBlocks: number
  /** Why, of the last of them. */
  readonly unstoredReason: string | null
}

/** Counts what goes wrong with one store, and has it logged: each kind once at first, then now and then. */
export class StoreHealth {
  readonly #log: (text: string, details: object) => void
  readonly #trouble = { damagedBlocks: 0, unstoredBlocks: 0, unstoredReason: null as string | null }

  /** @param log is told of trouble */
  constructor(log: (text: string, details: object) => void = () => {}) {
    this.#log = log
  }

  get trouble(): StoreTrouble {
    return this.#trouble
  }

  /** @param log key of the log */
  noteDamaged(log: Buffer, block: number, error?: unknown): void {
    const count = ++this.#trouble.damagedBlocks
    if (!isTold(count)) return
    const details = { log: log.toString('hex'), block, count, reason: textOf(error) }
    this.#log('a block in the store is damaged; it is dropped and fetched again', details)
  }

  /** @param log key of the log */
  noteUnstored(log: Buffer, block: number, error: unknown): void {
    const count = ++this.#trouble.unstoredBlocks
    this.#trouble.unstoredReason = textOf(error)
    if (!isTold(count)) return
    const details = { log: log.toString('hex'), block, count, reason: textOf(error) }
    this.#log('the store cannot be written: blocks are passed on without being stored', details)
  }
}

/** The first, and then each time that there are ten times as many. */
function isTold(count: number): boolean {
  return Number.isInteger(Math.log10(count))
}

function textOf(error: unknown): string {
  if (error === undefined) return 'it is not there, or not what was stored'
  if (!(error instanceof Error)) return 'nobody knows why'
  return error.cause instanceof Error ? error.cause.message : error.message
}
