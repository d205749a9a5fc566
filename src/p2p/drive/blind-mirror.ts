import type Hypercore from 'hypercore'
import type { DriveCores } from './drive-cores.ts'

/** Lengths of both logs, in blocks. */
export interface LogLengths {
  readonly content: number
  readonly entries: number
}

/** Whether there is room for what nobody waits for. */
export interface FetchRoom {
  readonly mayFill: boolean
  /** @returns ends that `listener` is called with each change */
  onChange(listener: () => void): () => void
}

/**
 * Fetches all that a drive has, without its encryption key: the blocks are verified
 * against the drive key and stay encrypted here. Others are served by the store's replication.
 */
export class BlindMirror implements AsyncDisposable {
  readonly #logs: readonly (readonly [log: Hypercore, end: number | undefined])[]
  readonly #room: FetchRoom | undefined
  readonly #stopListening: () => void
  #downloads: { destroy(): void }[] = []

  /**
   * @param options.held fetches up to these lengths. @default also all that the drive will have
   * @param options.room pauses while there is none
   */
  constructor(
    { db, blobs }: DriveCores,
    { held, room }: { readonly held?: LogLengths | undefined; readonly room?: FetchRoom } = {}
  ) {
    this.#logs = [
      [db, held?.entries],
      [blobs, held?.content]
    ]
    this.#room = room
    this.#stopListening = room?.onChange(() => this.#look()) ?? (() => {})
    this.#look()
  }

  /** Whether all of it is here. */
  get isComplete(): boolean {
    return this.#logs.every(
      ([log, end]) => log.length > 0 && log.contiguousLength >= (end ?? log.length)
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopListening()
    this.#pause()
  }

  #look(): void {
    this.#pause()
    if (this.#room?.mayFill === false) return
    // An end of -1 follows the logs as they grow.
    this.#downloads = this.#logs.map(([log, end]) => log.download({ start: 0, end: end ?? -1 }))
  }

  #pause(): void {
    for (const download of this.#downloads.splice(0)) download.destroy()
  }
}
