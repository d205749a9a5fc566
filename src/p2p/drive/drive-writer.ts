import { randomBytes } from 'node:crypto'
import type Hypercore from 'hypercore'
import Hyperdrive from 'hyperdrive'
import { throwIfCancelled } from '../../core/cancel.ts'
import { ContainerError, isContainerError } from '../../core/errors.ts'
import { decodeManifest, encodeManifest } from '../../image/format/manifest-codec.ts'
import { MANIFEST_PATH, type Manifest } from '../../image/format/manifest.ts'
import { paddedSession, withPadding } from '../block-padding.ts'
import { syncBeforeTelling, tellOf } from '../store/durable-log.ts'
import { batchReads } from '../store/read-batching.ts'
import { KEY_BYTES } from '../link.ts'
import type { FileListing } from './list-files.ts'
import type { PeerNode } from '../peers/peer-node.ts'
import { checkRoom, storeError } from '../store-error.ts'

export interface WriterOptions {
  readonly node: PeerNode
  /** Names the drive's key pair within the store; the same name opens the same drive again. */
  readonly namespace: string
  readonly secret: Buffer
  /** Whether somebody else may know of the drive already. @default false */
  readonly isKnown?: boolean
}

/** How long peers may take to give a block that was lost here. */
const LOST_BLOCK_MS = 10_000

/** An append that was asked for. */
interface Run {
  readonly blocks: readonly Uint8Array[]
  readonly resolve: (first: number) => void
  readonly reject: (error: unknown) => void
}

/**
 * The one writer of one drive. Blocks are appended first; {@link DriveWriter.commit} then adds the manifest's
 * block and its entry, so that a reader sees the old version or the new one and never a part. What the drive
 * lists for other tools comes after that ({@link DriveWriter.listFiles}).
 */
export class DriveWriter implements AsyncDisposable {
  readonly key: Buffer
  readonly secret: Buffer
  readonly #drive: Hyperdrive
  readonly #blobs: Hypercore
  readonly #node: PeerNode
  readonly #storage: string
  readonly #waiting: Run[] = []
  #isAppending = false

  private constructor(drive: Hyperdrive, blobs: Hypercore, options: WriterOptions) {
    this.#drive = drive
    this.#blobs = blobs
    this.#node = options.node
    this.#storage = options.node.storage
    this.key = drive.key
    this.secret = options.secret
  }

  static newSecret(): Buffer {
    return randomBytes(KEY_BYTES)
  }

  static async open(options: WriterOptions): Promise<DriveWriter> {
    const { node, namespace, secret, isKnown = false } = options
    // The drive closes the store that it is given: it gets a session of its own.
    const drive = new Hyperdrive(node.store.namespace(namespace), { encryptionKey: secret })
    try {
      await drive.ready()
      const { core } = await drive.getBlobs()
      const blobs = paddedSession(core)
      await blobs.ready()
      batchReads(drive.core)
      for (const log of [blobs, drive.core]) syncBeforeTelling(log, () => node.sync(), isKnown)
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
    return this.appendInPlace(withPadding(blocks))
  }

  /** {@link append} of blocks with `BLOCK_PADDING` bytes before each, which are overwritten. */
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
   * Completes a version: the manifest's block, then its entry. Readers see the version from then on, and it is on the
   * disk when this returns.
   *
   * @throws ContainerError `DISK_FULL`, `IO`
   */
  async commit(manifest: Manifest): Promise<void> {
    const block = encodeManifest(manifest)
    const byteOffset = this.#blobs.byteLength
    const batch = this.#drive.batch()
    try {
      const blockOffset = await this.append([block])
      const blob = { byteOffset, blockOffset, blockLength: 1, byteLength: block.byteLength }
      await batch.putEntry(MANIFEST_PATH, { blob, metadata: { version: manifest.version } })
      await batch.flush()
    } catch (error) {
      await batch.close().catch(() => {})
      throw this.#explained(error)
    }
    await this.#node.sync()
    for (const log of [this.#blobs, this.#drive.core]) tellOf(log)
  }

  /**
   * Has the drive list the files of the version that was committed last.
   *
   * @throws ContainerError `DISK_FULL`, `IO`, `CANCELLED`
   */
  async listFiles(list: FileListing, signal: AbortSignal): Promise<void> {
    try {
      throwIfCancelled(signal)
      checkRoom(this.#storage)
      await list(this.#drive, signal)
    } catch (error) {
      throw this.#explained(error)
    }
  }

  #explained(error: unknown): unknown {
    return isContainerError(error) ? error : storeError(this.#storage, error)
  }

  /**
   * One block that was appended, decrypted; from peers where it was lost here.
   *
   * @throws ContainerError `BAD_MANIFEST` when it is not to be had
   */
  async read(block: number): Promise<Buffer> {
    try {
      const found = await this.#blobs.get(block, { timeout: LOST_BLOCK_MS })
      if (found) return found
    } catch (cause) {
      throw notInDrive(block, cause)
    }
    throw notInDrive(block)
  }

  /**
   * Undoes a version that is not committed: frees the content of its blocks, and ends the log with
   * the newest manifest again, where readers look for it.
   *
   * @param first the version's first block
   */
  async rollBack(first: number): Promise<void> {
    if (first >= this.length) return
    const manifest = await this.newestManifestBlock(first)
    await this.#blobs.clear(first, this.length)
    // Small, and what makes room again: there may be none to spare.
    if (manifest) await this.#enqueue(withPadding([manifest]))
  }

  /**
   * The block of the newest version's manifest; undefined before the first is committed.
   *
   * @param end where the log ended when that was committed
   */
  async newestManifestBlock(end = this.length): Promise<Buffer | undefined> {
    const entry = await this.#drive.entry(MANIFEST_PATH)
    const blob = entry?.value.blob
    if (!blob) return undefined
    const listed = await this.read(blob.blockOffset)
    if (blob.blockOffset === end - 1) return listed
    // What was lost and taken from peers may be more of the one log than of the other.
    const last = await this.read(end - 1).catch(() => undefined)
    return last && isNewer(last, listed) ? last : listed
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

function isNewer(block: Buffer, than: Buffer): boolean {
  try {
    return decodeManifest(block).version > decodeManifest(than).version
  } catch {
    // It is no manifest: a publish was cut short there.
    return false
  }
}

function notInDrive(block: number, cause?: unknown): ContainerError {
  return new ContainerError('BAD_MANIFEST', `block ${block} is not in this drive`, { cause })
}
