import type { Logger } from 'pino'
import { pause, sharedController, untilAborted } from '../../core/abort.ts'
import type { BlockRange } from '../../p2p/transfer/block-fetcher.ts'
import type { DriveSession, OpenDrive } from '../../p2p/transfer/drive-session.ts'
import { versionBlocks } from '../catalog/version-blocks.ts'
import type { Keeper } from './keeper.ts'

/** Whether all is still here is looked at this often; new versions are heard of at once. With hundreds of images, each look costs. */
const LOOK_MS = 600_000
/** While somebody else fetches, as a `pull` does, or after a failure. */
const RETRY_MS = 2_000

export interface SeedKeeperOptions {
  readonly drive: DriveSession
  /** The version to keep; null follows the newest. */
  readonly version: number | null
  /** Somebody waits until it is whole. */
  readonly isUrgent: boolean
  /** Called with each version that is kept from now on. */
  readonly onVersion: (version: number) => Promise<void>
  readonly log: Logger
}

interface KeptVersion {
  readonly open: OpenDrive
  readonly ranges: readonly BlockRange[]
}

/** Keeps all of one version of an image here, or of the newest one whenever there is a new one. */
export class SeedKeeper implements Keeper {
  readonly #options: SeedKeeperOptions
  readonly #closed = sharedController()
  readonly #ended: Promise<void>
  #kept: KeptVersion | undefined
  #opened: OpenDrive | undefined
  #isUrgent: boolean
  /** The log has become longer since its newest version was last looked at. */
  #hasGrown = false
  #wake: () => void = () => {}

  constructor(options: SeedKeeperOptions) {
    this.#options = options
    this.#isUrgent = options.isUrgent
    this.#ended = this.#run()
  }

  get isComplete(): boolean {
    const { open, ranges } = this.#kept ?? {}
    return open !== undefined && ranges !== undefined && holdsAll(open, ranges)
  }

  /** Fetches at once what is missing, and not only while nobody reads. */
  hurry(): void {
    if (this.#isUrgent) return
    this.#isUrgent = true
    this.#kept?.open.fetcher.stopFill()
    this.#wake()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort(new Error('the image is no longer kept'))
    this.#kept?.open.fetcher.stopFill()
    await this.#ended
  }

  async #run(): Promise<void> {
    const { signal } = this.#closed
    let told: number | undefined
    while (!signal.aborted) {
      try {
        told = await this.#keep(await this.#open(), told)
        await this.#rest(LOOK_MS)
      } catch (err) {
        if (!signal.aborted)
          this.#options.log.debug({ err }, 'could not fetch an image that is kept')
        await this.#rest(RETRY_MS)
      }
    }
  }

  async #open(): Promise<OpenDrive> {
    const { signal } = this.#closed
    const open = await this.#options.drive.open(signal)
    if (this.#opened !== open) {
      this.#opened = open
      const { blobs } = open.cores
      blobs.on('append', this.#onAppend)
      signal.addEventListener('abort', () => blobs.off('append', this.#onAppend), { once: true })
    }
    return open
  }

  readonly #onAppend = (): void => {
    this.#hasGrown = true
    this.#wake()
  }

  async #keep(open: OpenDrive, told: number | undefined): Promise<number> {
    const { drive, version, onVersion } = this.#options
    const { signal } = this.#closed
    this.#hasGrown = false
    const manifest = await drive.manifest(version ?? undefined, signal)
    const read = (block: number): Promise<Uint8Array> => open.fetcher.read(block, { signal })
    if (manifest.version !== told || this.#kept?.open !== open) {
      this.#kept = { open, ranges: await versionBlocks(manifest, read) }
    }
    await this.#fill(this.#kept)
    if (manifest.version !== told) await onVersion(manifest.version)
    return manifest.version
  }

  async #fill({ open, ranges }: KeptVersion): Promise<void> {
    const { signal } = this.#closed
    while (!holdsAll(open, ranges)) {
      signal.throwIfAborted()
      // One fill takes the place of another: who asked before is not to be disturbed.
      if (open.fetcher.isFilling) await pause(RETRY_MS, signal)
      else await untilAborted(open.fetcher.fill(ranges, { eager: this.#isUrgent }), signal)
    }
    this.#isUrgent = false
  }

  async #rest(ms: number): Promise<void> {
    if (this.#hasGrown) return
    const rest = new AbortController()
    const woken = new Promise<void>((resolve) => (this.#wake = resolve))
    await Promise.race([woken, pause(ms, AbortSignal.any([rest.signal, this.#closed.signal]))])
    rest.abort()
  }
}

function holdsAll({ fetcher }: OpenDrive, ranges: readonly BlockRange[]): boolean {
  return ranges.every(([first, count]) => {
    for (let block = first; block < first + count; block++) if (!fetcher.has(block)) return false
    return true
  })
}
