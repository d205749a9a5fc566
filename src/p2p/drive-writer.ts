import { randomBytes } from 'node:crypto'
import type Hypercore from 'hypercore'
import Hyperdrive from 'hyperdrive'
import { ContainerError, isContainerError } from '../image/errors.ts'
import { decodeIndex } from '../image/index-codec.ts'
import { encodeManifest } from '../image/manifest-codec.ts'
import { MANIFEST_PATH, type Manifest } from '../image/manifest.ts'
import type { ColumnTree } from '../image/column-tree.ts'
import { BLOCK_ROOM, withRoom } from './block-room.ts'
import { ROOTFS_FOLDER } from './drive-entries.ts'
import { EntriesThread } from './entries-thread.ts'
import { joinReads } from './joined-reads.ts'
import { KEY_BYTES } from './link.ts'
import type { PeerNode } from './peer-node.ts'
import { inGroups, lookUpEntries, StagedEntries } from './staged-entries.ts'
import { checkRoom, storeError } from './store-error.ts'

export interface WriterOptions {
  readonly node: PeerNode
  /** Names the drive's key pair within the store; the same name opens the same drive again. */
  readonly namespace: string
  readonly secret: Buffer
}

export interface StageOptions {
  /** Makes a first version's entries. @default one of its own, which takes a while to start */
  readonly thread?: EntriesThread
  readonly signal?: AbortSignal
}

/** Of what is looked up beside appends, which somebody waits for. */
const LOOKED_UP_BESIDE = 32

/** An append that was asked for. */
interface Run {
  readonly blocks: readonly Uint8Array[]
  readonly resolve: (first: number) => void
  readonly reject: (error: unknown) => void
}

/**
 * The one writer of one drive. Blocks are appended first, and beside them the entries are made
 * ({@link DriveWriter.stage}); {@link DriveWriter.commit} then adds the manifest's block and the entries,
 * so that a reader sees the old version or the new one and never a part.
 */
export class DriveWriter implements AsyncDisposable {
  readonly key: Buffer
  readonly secret: Buffer
  readonly #drive: Hyperdrive
  readonly #blobs: Hypercore
  readonly #storage: string
  readonly #waiting: Run[] = []
  #isAppending = false

  private constructor(drive: Hyperdrive, blobs: Hypercore, options: WriterOptions) {
    this.#drive = drive
    this.#blobs = blobs
    this.#storage = options.node.storage
    this.key = drive.key
    this.secret = options.secret
  }

  static newSecret(): Buffer {
    return randomBytes(KEY_BYTES)
  }

  static async open(options: WriterOptions): Promise<DriveWriter> {
    const { node, namespace, secret } = options
    // The drive closes the store that it is given: it gets a session of its own.
    const drive = new Hyperdrive(node.store.namespace(namespace), { encryptionKey: secret })
    try {
      await drive.ready()
      const { core } = await drive.getBlobs()
      if (core.padding !== BLOCK_ROOM)
        throw new TypeError(`blocks want ${core.padding} bytes of room`)
      // Blocks come with their room; left to itself, the log copies each to make it.
      const blobs = core.session({ encodeBatch: (blocks: Buffer[]) => blocks })
      await blobs.ready()
      joinReads(drive.core)
      return new DriveWriter(drive, blobs, options)
    } catch (error) {
      await drive.close().catch(() => {})
      throw error
    }
  }

  get discoveryKey(): Buffer {
    return this.#drive.discoveryKey
  }

  /** Blocks in the blobs log. */
  get length(): number {
    return this.#blobs.length
  }

  /**
   * Appends blocks in order; returns the index of the first, or of the next one where there are none.
   * Calls may overlap: each is a run, in order of the calls.
   *
   * @throws ContainerError `DISK_FULL`
   */
  append(blocks: readonly Uint8Array[]): Promise<number> {
    return this.appendInPlace(withRoom(blocks))
  }

  /** {@link append} of blocks with `BLOCK_ROOM` bytes before each, which are overwritten. */
  async appendInPlace(blocks: readonly Uint8Array[]): Promise<number> {
    checkRoom(this.#storage)
    return this.#enqueue(blocks)
  }

  #enqueue(blocks: readonly Uint8Array[]): Promise<number> {
    const appended = new Promise<number>((resolve, reject) => {
      this.#waiting.push({ blocks, resolve, reject })
    })
    if (!this.#isAppending) void this.#appendWaiting()
    return appended
  }

  /**
   * Makes the entries of a version whose manifest is still to come, so that {@link commit} need not.
   *
   * @param packed the version's index
   * @param previous tree of the version before; undefined for the first
   * @throws ContainerError `BAD_INDEX`, `UNSUPPORTED_VERSION`, `DISK_FULL`, `IO`, `CANCELLED`
   */
  async stage(
    packed: Uint8Array,
    previous: ColumnTree | undefined,
    { thread, signal }: StageOptions = {}
  ): Promise<StagedEntries> {
    const given = signal ?? new AbortController().signal
    try {
      if (previous) {
        return await StagedEntries.changes(this.#drive, previous, decodeIndex(packed), given)
      }
      await using own = thread ? undefined : new EntriesThread()
      return await StagedEntries.first(this.#drive, packed, (thread ?? own)!, given)
    } catch (error) {
      throw isContainerError(error) ? error : storeError(this.#storage, error)
    }
  }

  /**
   * Completes a version: the manifest's block, then the entries, `/container.json` in the last append.
   *
   * @param entries of this version; they are closed by this
   * @throws ContainerError `DISK_FULL`, `IO`
   */
  async commit(manifest: Manifest, entries: StagedEntries): Promise<void> {
    const block = encodeManifest(manifest)
    const byteOffset = this.#blobs.byteLength
    try {
      const blockOffset = await this.append([block])
      const blob = { byteOffset, blockOffset, blockLength: 1, byteLength: block.byteLength }
      await entries.append(blob, manifest.version)
    } catch (error) {
      await entries[Symbol.asyncDispose]().catch(() => {})
      throw isContainerError(error) ? error : storeError(this.#storage, error)
    }
  }

  /** Has the store's nodes on the way to these files' entries in memory. @param paths in the image */
  async lookUp(paths: readonly string[]): Promise<void> {
    const batch = this.#drive.batch()
    try {
      for (const group of inGroups(paths, LOOKED_UP_BESIDE)) {
        await lookUpEntries(
          batch,
          group.map((path) => `${ROOTFS_FOLDER}/${path}`)
        )
      }
    } finally {
      await batch.close()
    }
  }

  /** One block that was appended, decrypted. */
  async read(block: number): Promise<Buffer> {
    const found = await this.#blobs.get(block, { wait: false })
    if (!found) throw new ContainerError('BAD_MANIFEST', `block ${block} is not in this drive`)
    return found
  }

  /**
   * Undoes a version that is not committed: frees the content of its blocks, and ends the log with
   * the newest manifest again, where readers look for it.
   *
   * @param first the version's first block
   */
  async rollBack(first: number): Promise<void> {
    if (first >= this.length) return
    await this.#blobs.clear(first, this.length)
    const manifest = await this.newestManifest()
    // Small, and what makes room again: there may be none to spare.
    if (manifest) await this.#enqueue(withRoom([manifest]))
  }

  /** The block of the newest version's manifest; undefined before the first is committed. */
  async newestManifest(): Promise<Buffer | undefined> {
    const entry = await this.#drive.entry(MANIFEST_PATH)
    const blob = entry?.value.blob
    return blob ? this.read(blob.blockOffset) : undefined
  }

  /** What came while an append was under way is one append: each costs a signature and a flush. */
  async #appendWaiting(): Promise<void> {
    this.#isAppending = true
    while (this.#waiting.length > 0) {
      const runs = this.#waiting.splice(0)
      const blocks = runs.flatMap((run) => run.blocks)
      try {
        let next = this.length
        if (blocks.length > 0) next = (await this.#blobs.append(blocks)).length - blocks.length
        for (const { blocks: own, resolve } of runs) {
          resolve(next)
          next += own.length
        }
      } catch (cause) {
        const error = storeError(this.#storage, cause)
        for (const { reject } of runs) reject(error)
      }
    }
    this.#isAppending = false
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#blobs.close()
    await this.#drive.close()
  }
}
