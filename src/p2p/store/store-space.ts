import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import type HypercoreStorage from 'hypercore-storage'
import { pause } from '../../core/abort.ts'
import { ContainerError } from '../../core/errors.ts'
import { bytesOf, DirectorySize } from './directory-size.ts'
import { DATABASE } from './store-sync.ts'

const MEBIBYTE = 1024 * 1024
/** With less room than this, something is evicted, until there is as much room as the second says. */
const SHORT_BYTES = 24 * MEBIBYTE
const WANTED_BYTES = 64 * MEBIBYTE
/** With less room than this, nothing is fetched that nobody waits for: what is on its way still comes. */
const FILL_BYTES = 8 * MEBIBYTE
/** Beyond the limit by this much, blocks that somebody waits for are passed on without being stored. */
const OVER_BYTES = 16 * MEBIBYTE
/** After so many bytes have come, the store is measured again; a large one, with its many files, more rarely. */
const MEASURE_BYTES = 4 * MEBIBYTE
const MEASURE_BYTES_MOST = 16 * MEBIBYTE
const MEASURE_PART = 1 / 10_000
/** Files with blocks that are rewritten in one step, at most, unless the oldest alone is larger. */
const STEP_BYTES = 32 * MEBIBYTE
/** Reads go first between two steps. */
const STEP_PAUSE_MS = 20
/** When as much of what was to be freed is free, the rest is left for the next time. */
const ENOUGH_FREED = 0.9
/** RocksDB's words for how a compaction treats files with blocks. */
const REWRITE = 1
const LEAVE = 2
const ALL_LEVELS = 2

/** How much disk a store takes, how much it may take, and how freed blocks are given back to the disk. */
export class StoreSpace {
  readonly #storage: HypercoreStorage
  readonly #directory: string
  readonly #size: DirectorySize
  readonly #listeners = new Set<() => void>()
  #maxBytes: number | undefined
  #measured = 0
  #arrived = 0
  #mayFill = true
  #isExhausted = false
  #reclaiming: Promise<unknown> = Promise.resolve()
  #clearedBytes = 0

  /** @param directory of the store */
  constructor(storage: HypercoreStorage, directory: string, maxBytes?: number) {
    this.#storage = storage
    this.#directory = directory
    this.#size = new DirectorySize(directory)
    this.#maxBytes = maxBytes
    if (maxBytes !== undefined) this.measure()
  }

  /** Bytes of disk that the store may take; undefined for no limit. */
  get maxBytes(): number | undefined {
    return this.#maxBytes
  }

  /** Another limit from now on; undefined for none. */
  limit(maxBytes: number | undefined): void {
    this.#maxBytes = maxBytes
    this.measure()
  }

  /** Bytes of disk that the store takes now. */
  measure(): number {
    this.#measured = this.#size.bytes()
    this.#arrived = 0
    this.#tell()
    return this.#measured
  }

  /** Bytes have come from peers. */
  noteArrival(bytes: number): void {
    if (this.maxBytes === undefined) return
    this.#arrived += bytes
    const most = Math.min(MEASURE_BYTES_MOST, this.maxBytes * MEASURE_PART)
    if (this.#arrived > Math.max(MEASURE_BYTES, most)) this.measure()
    else this.#tell()
  }

  /** Bytes that have to be freed; 0 where there is room enough. */
  get shortBytes(): number {
    const room = this.#roomBytes
    if (room >= SHORT_BYTES) return 0
    // A small store is not to lose nearly everything.
    return Math.min(WANTED_BYTES, (this.maxBytes ?? Infinity) / 4) - room
  }

  /** Whether there is room for what nobody waits for. */
  get mayFill(): boolean {
    return this.#roomBytes >= FILL_BYTES
  }

  /** Whether a block that has come may be stored. */
  get mayStore(): boolean {
    return this.#roomBytes > -OVER_BYTES
  }

  /** What a fill is told that can wait for no room: nothing else may be evicted. Undefined while it can. */
  get full(): ContainerError | undefined {
    if (!this.#isExhausted || this.mayFill) return undefined
    return new ContainerError('DISK_FULL', `the store ${this.#directory} has reached max-disk`, {
      hint: 'nothing in it may be evicted: raise max-disk, or `unpin` or `unseed` an image (`dat-container images`)'
    })
  }

  /** Notes whether there is nothing left that may be evicted. */
  noteExhausted(isExhausted: boolean): void {
    this.#isExhausted = isExhausted
    this.#tell()
  }

  /** Has `listener` called whenever {@link mayFill} changes. @returns ends that */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /**
   * Gives the disk back what cleared blocks took. RocksDB removes a file with blocks when all of them are gone; of
   * others, the oldest are rewritten in small steps without what is gone, so that reads go on and little room is needed.
   *
   * @param bytes about as many as were cleared since the last call
   * @returns by how many bytes the store has become smaller
   */
  reclaim(bytes: number): Promise<number> {
    this.#clearedBytes += bytes
    const next = this.#reclaiming.catch(() => {}).then(() => this.#reclaim(this.#clearedBytes))
    this.#reclaiming = next
    return next
  }

  /** About how many bytes of blocks were cleared whose disk was not given back: that frees as much, and costs no image. */
  get reclaimableBytes(): number {
    return this.#clearedBytes
  }

  async #reclaim(bytes: number): Promise<number> {
    const before = this.measure()
    const freed = (): number => before - this.measure()
    await this.#storage.compact({ blobGarbageCollectionPolicy: LEAVE })
    let left = this.#blockFiles().length
    while (left > 0 && freed() < bytes * ENOUGH_FREED) {
      const files = this.#blockFiles()
      const step = filesOfStep(files)
      await this.#storage.compact({
        blobGarbageCollectionPolicy: REWRITE,
        // RocksDB rounds down.
        blobGarbageCollectionAgeCutoff: Math.min(1, (step + 0.5) / files.length),
        bottommostLevelCompaction: ALL_LEVELS
      })
      left -= step
      await pause(STEP_PAUSE_MS)
    }
    // When all files were rewritten, nothing is left of what had been cleared before.
    const given = left > 0 ? Math.max(0, freed()) : bytes
    this.#clearedBytes = Math.max(0, this.#clearedBytes - given)
    return freed()
  }

  /** Sizes of the files with blocks, the oldest first. */
  #blockFiles(): number[] {
    const directory = join(this.#directory, DATABASE)
    return readdirSync(directory)
      .filter((name) => name.endsWith('.blob'))
      .sort((one, other) => Number.parseInt(one, 10) - Number.parseInt(other, 10))
      .map((name) => bytesOf(join(directory, name)))
  }

  get #roomBytes(): number {
    return this.maxBytes === undefined ? Infinity : this.maxBytes - this.#measured - this.#arrived
  }

  #tell(): void {
    if (this.mayFill === this.#mayFill) return
    this.#mayFill = this.mayFill
    for (const listener of [...this.#listeners]) listener()
  }
}

function filesOfStep(sizes: readonly number[]): number {
  let count = 0
  let bytes = 0
  for (const size of sizes) {
    bytes += size
    if (count > 0 && bytes > STEP_BYTES) break
    count++
  }
  return Math.max(1, count)
}
