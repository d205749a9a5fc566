import type { Logger } from 'pino'
import { isContainerError } from '../../core/errors.ts'
import type { HomePaths } from '../../home/home.ts'
import { imagesInUse } from '../../home/images-in-use.ts'
import { formatKey } from '../../p2p/link.ts'
import type { PeerNode } from '../../p2p/peers/peer-node.ts'
import { sizesOf } from '../../p2p/store/block-sizes.ts'
import type { DriveSession, OpenDrive } from '../../p2p/transfer/drive-session.ts'
import type { EvictResponse, EvictedImage } from '../../rpc/protocol.ts'
import type { DrivePool } from '../catalog/drive-pool.ts'
import type { CatalogEntry, ImageCatalog } from '../catalog/image-catalog.ts'
import { evictionOrder, mayBeEvicted } from './eviction-order.ts'
import type { ImageUsage } from './image-usage.ts'

/** How often the store is measured while there is a limit. */
const LOOK_MS = 1_000
/** With nothing left that may be evicted, it is looked again after so long. */
const EXHAUSTED_MS = 5_000
/** Less cleared space is left for the next time. */
const LEAST_RECLAIMED_BYTES = 2 * 1024 * 1024
/** The seed list's own use of a drive. */
const OWN_USES = 1

export interface DiskLimitOptions {
  readonly catalog: ImageCatalog
  readonly node: PeerNode
  readonly pool: DrivePool
  readonly usage: ImageUsage
  readonly paths: Pick<HomePaths, 'home' | 'runtime'>
  /** The drive that the seed list keeps open for an entry. */
  readonly seeded: (entry: CatalogEntry) => DriveSession | undefined
  readonly log: Logger
}

/** An image that may be evicted, with what of it is here. */
interface Candidate {
  readonly entry: CatalogEntry
  readonly drive: DriveSession
  readonly open: OpenDrive
  readonly usedMs: number
  readonly isComplete: boolean
}

/**
 * Keeps the store within its limit: evicts images that nothing uses, the least recently used first, complete ones as a
 * whole and of others the blocks that were not read for longest. Never evicts what this home published, seeds, mirrors
 * or pins, nor what a container, a mount or a client may need.
 */
export class DiskLimit implements AsyncDisposable {
  readonly #options: DiskLimitOptions
  #timer: NodeJS.Timeout | undefined
  #running: Promise<unknown> = Promise.resolve()
  #isRunning = false
  #restUntil = 0

  constructor(options: DiskLimitOptions) {
    this.#options = options
    // A fill waits for room: it is not to wait for the next look.
    options.node.space.onChange(() => this.#look())
    this.limitChanged()
  }

  /** Begins to keep within a limit, or ends that where there is none any more. */
  limitChanged(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
    this.#restUntil = 0
    if (this.#options.node.space.maxBytes !== undefined)
      this.#timer = setInterval(() => this.#look(), LOOK_MS).unref()
  }

  /**
   * Evicts until the store takes no more than `toBytes`.
   *
   * @param options.toBytes bytes of disk. @default the limit; without one, nothing is evicted
   * @param options.dryRun only tells what would be
   */
  evict(options: {
    readonly toBytes: number | undefined
    readonly dryRun: boolean
  }): Promise<EvictResponse> {
    const next = this.#running.catch(() => {}).then(() => this.#evict(options))
    this.#running = next
    return next
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer)
    await this.#running.catch(() => {})
  }

  #look(): void {
    const { space } = this.#options.node
    if (this.#timer === undefined) return
    if (this.#isRunning || performance.now() < this.#restUntil) return
    this.#isRunning = true
    void this.#keepWithin()
      .catch((err: unknown) => this.#options.log.warn({ err }, 'could not evict'))
      .finally(() => {
        this.#isRunning = false
        space.measure()
      })
  }

  async #keepWithin(): Promise<void> {
    const { node, log } = this.#options
    node.space.measure()
    // What was cleared before comes first: it frees disk without taking anything from anybody.
    if (node.space.shortBytes > 0 && node.space.reclaimableBytes >= LEAST_RECLAIMED_BYTES) {
      await node.space.reclaim(0)
    }
    const used = node.space.measure()
    const { shortBytes } = node.space
    if (shortBytes === 0) {
      node.space.noteExhausted(false)
      return
    }
    const toBytes = used - shortBytes
    const evicted = await this.evict({ toBytes, dryRun: false })
    for (const { name, blocks, bytes } of evicted.images) {
      log.info({ image: name, blocks, bytes }, 'evicted: the store has reached max-disk')
    }
    // The store may have become smaller by itself meanwhile.
    const isExhausted = evicted.images.length === 0 && evicted.usedBytes > toBytes
    node.space.noteExhausted(isExhausted)
    if (isExhausted) this.#restUntil = performance.now() + EXHAUSTED_MS
  }

  async #evict({
    toBytes,
    dryRun
  }: {
    readonly toBytes: number | undefined
    readonly dryRun: boolean
  }): Promise<EvictResponse> {
    const { space } = this.#options.node
    const usedBytes = space.measure()
    const target = toBytes ?? space.maxBytes ?? Infinity
    let left = usedBytes - target
    const images: EvictedImage[] = []
    for (const candidate of await this.#candidates()) {
      if (left <= 0) break
      const evicted = await this.#evictFrom(candidate, left, dryRun)
      if (evicted === undefined) continue
      images.push(evicted)
      left -= evicted.bytes
    }
    const bytes = images.reduce((sum, image) => sum + image.bytes, 0)
    if (!dryRun && bytes > 0) await space.reclaim(bytes)
    return { images, bytes, usedBytes, maxBytes: space.maxBytes ?? null }
  }

  async #candidates(): Promise<Candidate[]> {
    const { catalog, usage, seeded } = this.#options
    const entries = catalog.list()
    // A mirror of the same image has the same blocks.
    const kept = new Set(entries.flatMap((each) => (mayBeEvicted(each) ? [] : [each.key])))
    const candidates = entries.flatMap((entry): Candidate[] => {
      const drive = seeded(entry)
      const open = drive?.opened
      if (drive === undefined || open === undefined || kept.has(entry.key)) return []
      const { blobs } = open.cores
      const usedMs = usage.of(entry.key).usedMs ?? Date.parse(entry.createdAt)
      const isComplete = blobs.length > 0 && blobs.contiguousLength === blobs.length
      return [{ entry, drive, open, usedMs, isComplete }]
    })
    return evictionOrder(candidates)
  }

  /** @returns undefined where nothing of it may go, or is here */
  async #evictFrom(
    { entry, drive, open, isComplete }: Candidate,
    bytesWanted: number,
    dryRun: boolean
  ): Promise<EvictedImage | undefined> {
    const held = open.fetcher.coldestFirst()
    const sizes = await sizesOf(open.cores.blobs, held)
    const chosen: number[] = []
    let bytes = 0
    for (const block of held) {
      if (!isComplete && bytes >= bytesWanted) break
      chosen.push(block)
      bytes += sizes.get(block) ?? 0
    }
    if (chosen.length === 0 || (await this.#isUsed(drive))) return undefined
    if (!dryRun) {
      open.fetcher.stopFill()
      for (const [first, end] of runsOf(chosen)) {
        // Somebody may have opened it meanwhile.
        if (this.#isOpen(drive)) break
        await open.cores.blobs.clear(first, end)
      }
    }
    const key = formatKey(Buffer.from(entry.key, 'hex'))
    return {
      key,
      name: entry.name,
      blocks: chosen.length,
      bytes,
      whole: chosen.length === held.length
    }
  }

  /** Whether a container, a mount or a client may need its blocks; also where that cannot be told. */
  async #isUsed(drive: DriveSession): Promise<boolean> {
    try {
      const used = await imagesInUse(this.#options.paths)
      return used.has(formatKey(drive.key)) || this.#isOpen(drive)
    } catch (err) {
      if (!isContainerError(err)) throw err
      this.#options.log.warn({ err }, 'nothing is evicted: it is unknown what containers need')
      return true
    }
  }

  #isOpen(drive: DriveSession): boolean {
    return this.#options.pool.usesOf(drive) > OWN_USES
  }
}

/** Joins blocks to `[first, end]`, the end excluded. */
function runsOf(blocks: readonly number[]): [number, number][] {
  const runs: [number, number][] = []
  for (const block of blocks.toSorted((one, other) => one - other)) {
    const last = runs.at(-1)
    if (last?.[1] === block) last[1]++
    else runs.push([block, block + 1])
  }
  return runs
}
