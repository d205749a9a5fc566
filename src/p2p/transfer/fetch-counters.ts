import type { StoreCounters } from '../store/stored-blocks.ts'

/** What was got from peers since the log was opened here. */
export interface FetchCounters extends StoreCounters {
  /** Stored bytes, all causes. */
  readonly fetchedBytes: number
  readonly demandBytes: number
  readonly prefetchBytes: number
  readonly demandReads: number
  /** Time that reads waited for peers, summed over reads. */
  readonly stallMs: number
}
