import type Hypercore from 'hypercore'
import type { DriveCores } from './drive-cores.ts'

/** Lengths of both logs, in blocks. */
export interface LogLengths {
  readonly content: number
  readonly entries: number
}

/**
 * Fetches all that a drive has, without its encryption key: the blocks are verified
 * against the drive key and stay encrypted here. Others are served by the store's replication.
 */
export class BlindMirror implements AsyncDisposable {
  readonly #downloads: { destroy(): void }[]
  readonly #logs: readonly (readonly [log: Hypercore, end: number | undefined])[]

  /** @param held fetches up to these lengths. @default also all that the drive will have */
  constructor({ db, blobs }: DriveCores, held?: LogLengths) {
    this.#logs = [
      [db, held?.entries],
      [blobs, held?.content]
    ]
    // An end of -1 follows the logs as they grow.
    this.#downloads = this.#logs.map(([log, end]) => log.download({ start: 0, end: end ?? -1 }))
  }

  /** Whether all of it is here. */
  get isComplete(): boolean {
    return this.#logs.every(
      ([log, end]) => log.length > 0 && log.contiguousLength >= (end ?? log.length)
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const download of this.#downloads) download.destroy()
  }
}
