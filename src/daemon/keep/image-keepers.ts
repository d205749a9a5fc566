import type { Logger } from 'pino'
import { pause } from '../../core/abort.ts'
import { BlindMirror, type LogLengths } from '../../p2p/drive/blind-mirror.ts'
import type { PeerNode } from '../../p2p/peers/peer-node.ts'
import type { DriveSession, OpenDrive } from '../../p2p/transfer/drive-session.ts'
import { MirrorShare } from '../../p2p/transfer/mirror-share.ts'
import {
  entryId,
  keepingOf,
  type CatalogEntry,
  type ImageCatalog
} from '../catalog/image-catalog.ts'
import { EntrustedImages } from './entrusted-images.ts'
import type { Keeper } from './keeper.ts'
import { SeedKeeper } from './seed-keeper.ts'

/** How long peers may take to tell how long the logs are. */
const UPDATE_MS = 500
/** Bytes that a mirror's share has given up before they are given back to the disk. */
const RECLAIM_BYTES = 16 * 1024 * 1024

export interface ImageKeepersOptions {
  readonly catalog: ImageCatalog
  readonly node: PeerNode
  readonly log: Logger
}

interface Kept {
  /** What was asked for, to tell whether that has changed. */
  readonly order: string
  readonly keeper: Keeper
}

interface Making {
  readonly entry: CatalogEntry
  readonly held: LogLengths | undefined
  readonly drive: DriveSession
  readonly opened: OpenDrive
  readonly isUrgent: boolean
}

/** Keeps on this machine what the list of images says is to be kept: images that it seeds, mirrors, and shares of mirrors. */
export class ImageKeepers implements AsyncDisposable {
  readonly #options: ImageKeepersOptions
  readonly #entrusted: EntrustedImages
  /** By {@link entryId}. */
  readonly #kept = new Map<string, Kept>()

  constructor(options: ImageKeepersOptions) {
    this.#options = options
    this.#entrusted = new EntrustedImages(options.node.blindPeers)
  }

  /** What keeps an image; undefined where only what was read of it is here. */
  of(entry: CatalogEntry): Keeper | undefined {
    return this.#kept.get(entryId(entry))?.keeper
  }

  /**
   * Has an image kept as its entry says, instead of how it was kept before.
   *
   * @param drive its logs are open
   * @param options.isUrgent somebody waits until it is here @default false
   */
  async begin(entry: CatalogEntry, drive: DriveSession, { isUrgent = false } = {}): Promise<void> {
    if (drive.opened) this.#entrusted.begin(entry, drive.opened)
    const { byChannel: _why, blindPeers: _elsewhere, ...keeping } = keepingOf(entry)
    const order = JSON.stringify([entry.follow, entry.secret === null, keeping])
    const id = entryId(entry)
    const before = this.#kept.get(id)
    if (before?.order === order) {
      if (isUrgent && before.keeper instanceof SeedKeeper) before.keeper.hurry()
      return
    }
    await this.#end(id)
    const { opened } = drive
    if (opened === undefined) return
    const held = entry.held && (await this.#held(entry, entry.held, opened))
    if (this.#kept.has(id)) return
    const keeper = this.#make({ entry, held, drive, opened, isUrgent })
    if (keeper) this.#kept.set(id, { order, keeper })
  }

  /** Keeps no more of an image from now on; what is here stays. */
  end(entry: CatalogEntry): Promise<void> {
    this.#entrusted.end(entry)
    return this.#end(entryId(entry))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled([...this.#kept.keys()].map((id) => this.#end(id)))
  }

  async #end(id: string): Promise<void> {
    const kept = this.#kept.get(id)
    this.#kept.delete(id)
    await kept?.keeper[Symbol.asyncDispose]()
  }

  /** Up to where a mirror holds an image: decided once, when its logs are open for the first time. */
  async #held(
    entry: CatalogEntry,
    held: NonNullable<CatalogEntry['held']>,
    { cores: { db, blobs } }: OpenDrive
  ): Promise<LogLengths> {
    if (held !== 'now') return held
    const updated = Promise.all([db, blobs].map((log) => log.update({ wait: true })))
    await Promise.race([updated.catch(() => {}), pause(UPDATE_MS)])
    const lengths = { content: blobs.length, entries: db.length }
    await this.#options.catalog.put({ ...entry, held: lengths })
    return lengths
  }

  #make({ entry, held, drive, opened, isUrgent }: Making): Keeper | undefined {
    const { cores, fetcher } = opened
    const { node, log } = this.#options
    const { follow, kept, quota } = entry
    if (follow && quota !== undefined) {
      return new MirrorShare({
        cores,
        fetcher,
        self: node.publicKey.toString('hex'),
        quotaBytes: quota,
        mayFill: () => node.space.mayFill,
        onGivenUp: this.#reclaiming()
      })
    }
    if (follow) return new BlindMirror(cores, { held, room: node.space })
    if (kept === undefined) return undefined
    return new SeedKeeper({
      drive,
      version: kept.version,
      isUrgent,
      onVersion: (version) => this.#noteVersion(entry.key, version),
      log: log.child({ image: entry.name })
    })
  }

  /** Has what was freed given back to the disk when it is worth the work. */
  #reclaiming(): (bytes: number) => Promise<void> {
    const { node } = this.#options
    let freed = 0
    return async (bytes) => {
      freed += bytes
      if (freed < RECLAIM_BYTES) return
      const reclaimed = freed
      freed = 0
      await node.space.reclaim(reclaimed)
    }
  }

  async #noteVersion(key: string, version: number): Promise<void> {
    const { catalog, node } = this.#options
    // What is told to be here outlives a power cut.
    await node.sync()
    const entry = catalog.find(key)
    if (entry && (entry.version ?? 0) < version) await catalog.put({ ...entry, version })
  }
}
