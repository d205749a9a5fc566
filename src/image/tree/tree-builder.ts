import { asBuffer } from '../../core/as-buffer.ts'
import { ColumnTree, DIRECTORY, FILE, inOneShape, TYPE_CODE } from './column-tree.ts'
import { bytesColumn, doubleColumn, wordColumn } from '../../core/growing-column.ts'
import { sortEntries } from './sort-entries.ts'
import { checkTree } from './tree-check.ts'
import {
  MAX_CHUNKS,
  MAX_ENTRIES,
  MAX_EXTENTS,
  MAX_INODES,
  MAX_POOL_BYTES,
  badIndex,
  checkAttributes,
  checkName,
  checkTarget
} from './tree-limits.ts'
import { XattrSets } from './xattr-sets.ts'
import type { DeviceNumber } from './column-tree.ts'
import { FILE_TYPES } from './tree.ts'
import type { ChunkTable, Extent, FileType, InodeAttributes, Xattr } from './tree.ts'

/** What {@link TreeBuilder.addInode} may be told besides the attributes. */
export interface InodeContent {
  /** Content bytes; files only. */
  readonly size?: number
  /** Symlinks only, and required for them. */
  readonly symlinkTarget?: Uint8Array
  readonly xattrs?: readonly Xattr[]
  /** Files only; what no extent covers is a hole. */
  readonly extents?: readonly Extent[]
}

const DEFAULT_ROOT: InodeAttributes = {
  type: 'directory',
  mode: 0o755,
  uid: 0,
  gid: 0,
  mtimeSeconds: 0,
  mtimeNanoseconds: 0,
  deviceMajor: 0,
  deviceMinor: 0
}

/**
 * Collects inodes, names and chunks in any order and makes the columnar tree of them. Every method
 * throws ContainerError `BAD_INDEX` for what Linux could not hold. Memory: about 80 bytes an inode
 * with its name's row and one extent, plus the names.
 */
export class TreeBuilder {
  // Columns are of few kinds: machine code for many kinds takes longer to make than it saves.
  readonly #type = wordColumn()
  readonly #mode = wordColumn()
  readonly #uid = wordColumn()
  readonly #gid = wordColumn()
  readonly #mtimeSeconds = doubleColumn()
  readonly #mtimeNanoseconds = wordColumn()
  readonly #size = doubleColumn()
  readonly #first = wordColumn()
  readonly #count = wordColumn()
  readonly #xattrSet = wordColumn()
  readonly #contentColumns = [this.#size, this.#first, this.#count, this.#xattrSet]
  readonly #inodeColumns = [
    this.#type,
    this.#mode,
    this.#uid,
    this.#gid,
    this.#mtimeSeconds,
    this.#mtimeNanoseconds,
    ...this.#contentColumns
  ]
  readonly #xattrSets = new XattrSets()
  readonly #devices = new Map<number, DeviceNumber>()
  readonly #entryDirectory = wordColumn()
  readonly #entryInode = wordColumn()
  readonly #nameStart = wordColumn()
  readonly #names = bytesColumn()
  readonly #targets = bytesColumn()
  readonly #extentPosition = doubleColumn()
  readonly #extentChunk = wordColumn()
  readonly #extentCount = wordColumn()
  readonly #block = wordColumn()
  readonly #offset = wordColumn()
  readonly #storedBytes = wordColumn()
  readonly #raw = bytesColumn()

  /** @param rootAttributes of inode 0. @default a directory of root's, mode 0755, time 0 */
  constructor(rootAttributes: InodeAttributes = DEFAULT_ROOT) {
    this.#nameStart.push(0)
    this.addInode(rootAttributes)
  }

  get inodeCount(): number {
    return this.#type.length
  }

  get chunkCount(): number {
    return this.#block.length
  }

  type(inode: number): FileType {
    this.#checkInode(inode)
    return FILE_TYPES[this.#type.get(inode)]!
  }

  symlinkTarget(inode: number): Buffer {
    if (this.type(inode) !== 'symlink') return Buffer.alloc(0)
    const first = this.#first.get(inode)
    return asBuffer(this.#targets.view().slice(first, first + this.#count.get(inode)))
  }

  /** @returns the new inode's number; it needs a name before {@link finish} */
  addInode(attributes: InodeAttributes, content: InodeContent = {}): number {
    const inode = this.#type.length
    if (inode >= MAX_INODES) throw badIndex(`more than ${MAX_INODES} inodes`)
    checkAttributes(attributes)
    this.#type.push(TYPE_CODE[attributes.type])
    this.#mode.push(attributes.mode)
    this.#uid.push(attributes.uid)
    this.#gid.push(attributes.gid)
    this.#mtimeSeconds.push(attributes.mtimeSeconds)
    this.#mtimeNanoseconds.push(attributes.mtimeNanoseconds)
    for (const column of this.#contentColumns) column.push(0)
    this.#setDevice(inode, attributes)
    if (attributes.type === 'symlink') this.#setTarget(inode, content.symlinkTarget)
    else if (content.symlinkTarget !== undefined) throw badIndex('only a symlink has a target')
    if (content.xattrs !== undefined) this.setXattrs(inode, content.xattrs)
    if (content.size !== undefined || content.extents !== undefined) {
      this.setContent(inode, content.size ?? 0, content.extents ?? [])
    }
    return inode
  }

  /** Replaces an inode's attributes, for instance the root's when an archive names it late. */
  setAttributes(inode: number, attributes: InodeAttributes): void {
    this.#checkInode(inode)
    checkAttributes(attributes)
    this.#type.set(inode, TYPE_CODE[attributes.type])
    this.#mode.set(inode, attributes.mode)
    this.#uid.set(inode, attributes.uid)
    this.#gid.set(inode, attributes.gid)
    this.#mtimeSeconds.set(inode, attributes.mtimeSeconds)
    this.#mtimeNanoseconds.set(inode, attributes.mtimeNanoseconds)
    this.#devices.delete(inode)
    this.#setDevice(inode, attributes)
  }

  #setDevice(inode: number, attributes: InodeAttributes): void {
    if (attributes.type === 'character' || attributes.type === 'block') {
      this.#devices.set(inode, { major: attributes.deviceMajor, minor: attributes.deviceMinor })
    }
  }

  setXattrs(inode: number, xattrs: readonly Xattr[]): void {
    this.#checkInode(inode)
    this.#xattrSet.set(inode, this.#xattrSets.add(xattrs))
  }

  /** Sets a file's size in bytes and where its content is; for files that are read late. */
  setContent(inode: number, size: number, extents: readonly Extent[]): void {
    this.#checkInode(inode)
    if (this.#type.get(inode) !== FILE) throw badIndex('only a file has content')
    const first = this.#extentPosition.length
    if (first + extents.length > MAX_EXTENTS) throw badIndex(`more than ${MAX_EXTENTS} extents`)
    this.#size.set(inode, size)
    this.#first.set(inode, first)
    this.#count.set(inode, extents.length)
    for (const extent of extents) {
      checkWord(extent.chunk)
      checkWord(extent.count)
      if (!Number.isSafeInteger(extent.position)) throw badIndex('an extent has a bad position')
      this.#extentPosition.push(extent.position)
      this.#extentChunk.push(extent.chunk)
      this.#extentCount.push(extent.count)
    }
  }

  /**
   * @param block index in the blobs core
   * @param storedBytes how many bytes of that block
   * @param raw whether they are the content itself, not a zstd frame of it
   * @param offset the first of them
   * @returns the chunk's number, for {@link Extent.chunk}
   */
  addChunk(block: number, storedBytes: number, raw: boolean, offset = 0): number {
    if (this.#block.length >= MAX_CHUNKS) throw badIndex(`more than ${MAX_CHUNKS} chunks`)
    checkWord(block)
    checkWord(storedBytes)
    checkWord(offset)
    this.#block.push(block)
    this.#offset.push(offset)
    this.#storedBytes.push(storedBytes)
    this.#raw.push(raw ? 1 : 0)
    return this.#block.length - 1
  }

  /** {@link addChunk} of all of a table, in order. */
  addChunks({ length, block, offset, storedBytes, raw }: ChunkTable): void {
    if (this.#block.length + length > MAX_CHUNKS) throw badIndex(`more than ${MAX_CHUNKS} chunks`)
    this.#block.pushAll(block)
    this.#offset.pushAll(offset)
    this.#storedBytes.pushAll(storedBytes)
    this.#raw.pushAll(raw)
  }

  /** Gives `inode` a name. A second name of an inode that is no directory is a hardlink. */
  link(directory: number, name: Uint8Array, inode: number): void {
    this.linkRange(directory, name, 0, name.length, inode)
  }

  /** {@link link} by the name `bytes[start, end)`. */
  linkRange(directory: number, bytes: Uint8Array, start: number, end: number, inode: number): void {
    this.#checkInode(directory)
    this.#checkInode(inode)
    if (this.#type.get(directory) !== DIRECTORY) throw badIndex('only a directory has entries')
    if (this.#entryInode.length >= MAX_ENTRIES) throw badIndex(`more than ${MAX_ENTRIES} entries`)
    checkName(bytes, start, end)
    if (this.#names.length + end - start > MAX_POOL_BYTES) throw badIndex('too many bytes of names')
    this.#entryDirectory.push(directory)
    this.#entryInode.push(inode)
    this.#names.pushRange(bytes, start, end)
    this.#nameStart.push(this.#names.length)
  }

  /**
   * Forgets inodes without a name, for sources in which one entry may replace another, and numbers
   * those behind them anew. What they were linked to must be gone as well.
   *
   * @returns the new number of each inode; 0, the root's, for those that are gone
   */
  dropNameless(): Uint32Array {
    const isNamed = new Uint8Array(this.inodeCount)
    isNamed[0] = 1
    for (const inode of this.#entryInode.view()) isNamed[inode] = 1
    const numbers = new Uint32Array(this.inodeCount)
    let kept = 0
    for (let inode = 0; inode < isNamed.length; inode++) {
      if (isNamed[inode] === 0) {
        this.#devices.delete(inode)
        continue
      }
      numbers[inode] = kept
      for (const column of this.#inodeColumns) column.set(kept, column.get(inode))
      const device = this.#devices.get(inode)
      if (device !== undefined && kept !== inode) {
        this.#devices.delete(inode)
        this.#devices.set(kept, device)
      }
      kept++
    }
    for (const column of this.#inodeColumns) column.length = kept
    for (const entries of [this.#entryDirectory, this.#entryInode]) {
      for (let i = 0; i < entries.length; i++) entries.set(i, numbers[entries.get(i)]!)
    }
    return numbers
  }

  /** Sorts and checks everything. The builder must not be used afterwards. */
  finish(): ColumnTree {
    const type = Uint8Array.from(this.#type.view())
    const first = this.#first.view()
    const count = this.#count.view()
    const entries = sortEntries(
      {
        directory: this.#entryDirectory.view(),
        inode: this.#entryInode.view(),
        nameStart: this.#nameStart.view(),
        names: asBuffer(this.#names.view())
      },
      { type, first, count }
    )
    const columns = inOneShape({
      type,
      first,
      count,
      mode: Uint16Array.from(this.#mode.view()),
      uid: this.#uid.view(),
      gid: this.#gid.view(),
      mtimeSeconds: this.#mtimeSeconds.view(),
      mtimeNanoseconds: this.#mtimeNanoseconds.view(),
      size: this.#size.view(),
      xattrSet: this.#xattrSet.view(),
      xattrSets: this.#xattrSets.sets,
      devices: this.#devices,
      entryInode: entries.inode,
      nameStart: entries.nameStart,
      names: entries.names,
      targets: asBuffer(this.#targets.view()),
      extentPosition: this.#extentPosition.view(),
      extentChunk: this.#extentChunk.view(),
      extentCount: this.#extentCount.view(),
      chunks: {
        length: this.#block.length,
        block: this.#block.view(),
        offset: this.#offset.view(),
        storedBytes: this.#storedBytes.view(),
        raw: this.#raw.view()
      }
    })
    return new ColumnTree(columns, checkTree(columns))
  }

  #setTarget(inode: number, target: Uint8Array | undefined): void {
    if (target === undefined) throw badIndex('a symlink needs a target')
    checkTarget(target, 0, target.length)
    if (this.#targets.length + target.length > MAX_POOL_BYTES) {
      throw badIndex('too many bytes of symlinks')
    }
    this.#first.set(inode, this.#targets.length)
    this.#count.set(inode, target.length)
    this.#targets.pushAll(target)
  }

  #checkInode(inode: number): void {
    if (!Number.isInteger(inode) || inode < 0 || inode >= this.#type.length) {
      throw badIndex(`there is no inode ${inode}`)
    }
  }
}

/** A typed array would wrap such a number silently. */
function checkWord(value: number): void {
  if (value >>> 0 !== value) throw badIndex(`${value} is not a 32-bit number`)
}
