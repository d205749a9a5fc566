import type { DriveCores } from './drive-cores.ts'

/**
 * Fetches everything a drive has and will have, without its encryption key: the blocks are verified
 * against the drive key and stay encrypted here. Others are served by the store's replication.
 */
export class BlindMirror implements AsyncDisposable {
  readonly #downloads: { destroy(): void }[]

  constructor(cores: DriveCores) {
    // An end of -1 follows the logs as they grow.
    this.#downloads = [cores.db, cores.blobs].map((core) => core.download({ start: 0, end: -1 }))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const download of this.#downloads) download.destroy()
  }
}
