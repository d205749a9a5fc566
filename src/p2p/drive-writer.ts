import { randomBytes } from 'node:crypto'
import type Hypercore from 'hypercore'
import Hyperdrive from 'hyperdrive'
import { ContainerError } from '../image/errors.ts'
import { encodeManifest } from '../image/manifest-codec.ts'
import { MANIFEST_PATH, type Manifest } from '../image/manifest.ts'
import type { Tree } from '../image/tree.ts'
import { AscendingBee } from './ascending-bee.ts'
import { BLOCK_ROOM } from './block-room.ts'
import {
  changedDriveEntries,
  driveEntries,
  isBlurred,
  ROOTFS_FOLDER,
  type EntryChange
} from './drive-entries.ts'
import { KEY_BYTES } from './link.ts'
import type { PeerNode } from './peer-node.ts'
import { checkRoom, storeError } from './store-error.ts'

export interface WriterOptions {
  readonly node: PeerNode
  /** Names the drive's key pair within the store; the same name opens the same drive again. */
  readonly namespace: string
  readonly secret: Buffer
}

/** Of a first version at once. */
const APPENDED_ENTRIES = 4096
/** The first block of a Hyperbee says what it is. */
const HEADER_BLOCKS = 1
/** Their nodes fit into the cache of the bee. */
const LOOKED_UP_ENTRIES = 512
/** Of what is looked up beside appends, which somebody waits for. */
const LOOKED_UP_BESIDE = 32

/** An append that was asked for. */
interface Run {
  readonly blocks: readonly Uint8Array[]
  readonly resolve: (first: number) => void
  readonly reject: (error: unknown) => void
}

/**
 * The one writer of one drive. Blocks are appended first; {@link DriveWriter.commit} then adds the
 * manifest's block and all entries, the entries in one append, so that a reader sees the old version
 * or the new one and never a part.
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
   * Completes a version: the manifest's block, then the entries that differ from the previous
   * version's, then `/container.json`. A first version's entries come in several appends, `/container.json`
   * in the last.
   *
   * @returns the manifest as published, with its own version record completed
   */
  async commit(manifest: Manifest, tree: Tree, previous: Tree | undefined): Promise<void> {
    const block = encodeManifest(manifest)
    const byteOffset = this.#blobs.byteLength
    const blockOffset = await this.append([block])
    let batch: Hyperdrive | undefined
    try {
      const changes = previous
        ? changedDriveEntries(previous, tree)
        : await this.#appendEntries(tree)
      batch = this.#drive.batch()
      for (const group of inGroups(changes, LOOKED_UP_ENTRIES)) {
        // A batch asks for the nodes on its way one by one; asked for together, they are here by then.
        await this.#lookUp(group.map(([name]) => name))
        for (const [name, value] of group) {
          await (value === undefined ? batch.del(name) : batch.putEntry(name, value))
        }
      }
      await batch.putEntry(MANIFEST_PATH, {
        blob: { byteOffset, blockOffset, blockLength: 1, byteLength: block.byteLength },
        metadata: { version: manifest.version }
      })
      await batch.flush()
    } catch (cause) {
      await batch?.close().catch(() => {})
      throw storeError(this.#storage, cause)
    }
  }

  /**
   * Appends a first version's entries, in several appends: nobody knows of a drive without a version.
   *
   * @returns those that are left for a batch, as others may have the same name
   */
  async #appendEntries(tree: Tree): Promise<Iterable<EntryChange>> {
    const header = this.#drive.db.batch()
    await header.getRoot(true)
    await header.close()
    const { core } = this.#drive
    // A commit that failed before may have left some, or all.
    if (core.length !== HEADER_BLOCKS) return driveEntries(tree)
    const left: EntryChange[] = []
    const bee = new AscendingBee(core.length)
    for (const [name, value] of driveEntries(tree)) {
      if (isBlurred(name)) left.push([name, value])
      else bee.add(entryKey(name), Buffer.from(JSON.stringify(value)))
      if (bee.length === APPENDED_ENTRIES) await core.append(bee.take())
    }
    if (bee.length > 0) await core.append(bee.take())
    return left
  }

  /** Has the store's nodes on the way to these files' entries in memory. @param paths in the image */
  async lookUp(paths: readonly string[]): Promise<void> {
    for (const group of inGroups(paths, LOOKED_UP_BESIDE)) {
      await this.#lookUp(group.map((path) => `${ROOTFS_FOLDER}/${path}`))
    }
  }

  async #lookUp(names: readonly string[]): Promise<void> {
    await Promise.all(names.map((name) => this.#drive.entry(name)))
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

/** As Hyperdrive stores a name: in the part `files` of its Hyperbee. */
function entryKey(name: string): Buffer {
  return Buffer.from(`files\0${name}`)
}

function withRoom(blocks: readonly Uint8Array[]): Buffer[] {
  return blocks.map((block) => {
    const roomy = Buffer.allocUnsafeSlow(BLOCK_ROOM + block.length)
    roomy.set(block, BLOCK_ROOM)
    return roomy
  })
}

function* inGroups<T>(items: Iterable<T>, size: number): Generator<T[]> {
  let group: T[] = []
  for (const item of items) {
    group.push(item)
    if (group.length < size) continue
    yield group
    group = []
  }
  if (group.length > 0) yield group
}
