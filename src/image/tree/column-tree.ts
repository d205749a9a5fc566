import { FILE_TYPES } from './tree.ts'
import { badIndex } from './tree-limits.ts'
import type { ChunkTable, Extent, FileType, InodeAttributes, Tree, Xattr } from './tree.ts'

export const TYPE_CODE: Readonly<Record<FileType, number>> = {
  file: 0,
  directory: 1,
  symlink: 2,
  fifo: 3,
  socket: 4,
  character: 5,
  block: 6
}
export const FILE = TYPE_CODE.file
export const DIRECTORY = TYPE_CODE.directory
export const SYMLINK = TYPE_CODE.symlink

/**
 * A tree as typed arrays: one row an inode, one an entry, one an extent. `first` and `count` point
 * into another table according to the inode's type: a file's extents, a directory's entries, a
 * symlink's target bytes; both are 0 for the rest.
 */
export interface TreeColumns {
  /** Codes of {@link TYPE_CODE}. */
  readonly type: Uint8Array
  readonly mode: Uint16Array
  readonly uid: Uint32Array
  readonly gid: Uint32Array
  readonly mtimeSeconds: Float64Array
  readonly mtimeNanoseconds: Uint32Array
  /** Content bytes of files, 0 for every other type. */
  readonly size: Float64Array
  readonly first: Uint32Array
  readonly count: Uint32Array
  /** Index into `xattrSets`, whose first set is the empty one. */
  readonly xattrSet: Uint32Array
  readonly xattrSets: readonly (readonly Xattr[])[]
  /** Device numbers of device nodes, which are few. */
  readonly devices: ReadonlyMap<number, DeviceNumber>
  readonly entryInode: Uint32Array
  /** Entry `e` is named `names[nameStart[e], nameStart[e + 1])`. */
  readonly nameStart: Uint32Array
  readonly names: Buffer
  readonly targets: Buffer
  /** In chunks; a double because a sparse file's last chunk may lie beyond 2^32. */
  readonly extentPosition: Float64Array
  readonly extentChunk: Uint32Array
  readonly extentCount: Uint32Array
  readonly chunks: ChunkTable
}

export interface DeviceNumber {
  readonly major: number
  readonly minor: number
}

/** What `checkTree` derives from the columns. */
export interface DerivedColumns {
  readonly linkCount: Uint32Array
  /** Meaningful for directories. */
  readonly parent: Uint32Array
  /** Decoded bytes of every chunk; 0 where no file uses it. */
  readonly chunkBytes: Uint32Array
}

/**
 * The same columns in objects of one shape, independent of their origin. V8 compiles what goes through columns for
 * their shape, and gives one that is put together by spreading a new shape now and then, and what was
 * deserialized another: all that was compiled is thrown away then.
 */
export function inOneShape(columns: TreeColumns): TreeColumns {
  const { length, block, offset, storedBytes, raw } = columns.chunks
  return {
    type: columns.type,
    mode: columns.mode,
    uid: columns.uid,
    gid: columns.gid,
    mtimeSeconds: columns.mtimeSeconds,
    mtimeNanoseconds: columns.mtimeNanoseconds,
    size: columns.size,
    first: columns.first,
    count: columns.count,
    xattrSet: columns.xattrSet,
    xattrSets: columns.xattrSets,
    devices: columns.devices,
    entryInode: columns.entryInode,
    nameStart: columns.nameStart,
    names: columns.names,
    targets: columns.targets,
    extentPosition: columns.extentPosition,
    extentChunk: columns.extentChunk,
    extentCount: columns.extentCount,
    chunks: { length, block, offset, storedBytes, raw }
  }
}

/** The columnar {@link Tree}. Made by `TreeBuilder.finish` and `decodeIndex`, which check it. */
export class ColumnTree implements Tree {
  readonly inodeCount: number
  readonly entryCount: number
  readonly chunks: ChunkTable
  /** Decoded bytes of every chunk; 0 where no file uses it. */
  readonly chunkBytes: Uint32Array
  readonly #columns: TreeColumns
  readonly #derived: DerivedColumns

  constructor(columns: TreeColumns, derived: DerivedColumns) {
    const { linkCount, parent, chunkBytes } = derived
    this.#columns = inOneShape(columns)
    this.#derived = { linkCount, parent, chunkBytes }
    this.inodeCount = columns.type.length
    this.entryCount = columns.entryInode.length
    this.chunks = this.#columns.chunks
    this.chunkBytes = chunkBytes
  }

  /** For what goes through all of the tree, and would spend its time making objects. */
  get columns(): TreeColumns {
    return this.#columns
  }

  /** What was derived from them. */
  get derived(): DerivedColumns {
    return this.#derived
  }

  /** The same tree with the same chunks, stored elsewhere. */
  withChunks(chunks: ChunkTable): ColumnTree {
    return new ColumnTree({ ...this.#columns, chunks }, this.#derived)
  }

  attributes(inode: number): InodeAttributes {
    const columns = this.#columns
    const device = columns.devices.get(inode)
    return {
      type: this.type(inode),
      mode: columns.mode[inode]!,
      uid: columns.uid[inode]!,
      gid: columns.gid[inode]!,
      mtimeSeconds: columns.mtimeSeconds[inode]!,
      mtimeNanoseconds: columns.mtimeNanoseconds[inode]!,
      deviceMajor: device?.major ?? 0,
      deviceMinor: device?.minor ?? 0
    }
  }

  type(inode: number): FileType {
    const code = this.#columns.type[inode]
    if (code === undefined) throw badIndex(`there is no inode ${inode}`)
    return FILE_TYPES[code]!
  }

  size(inode: number): number {
    const { type, size, count } = this.#columns
    return type[inode] === SYMLINK ? count[inode]! : size[inode]!
  }

  linkCount(inode: number): number {
    return this.#derived.linkCount[inode]!
  }

  symlinkTarget(inode: number): Buffer {
    if (this.#columns.type[inode] !== SYMLINK) return Buffer.alloc(0)
    const first = this.#columns.first[inode]!
    return this.#columns.targets.subarray(first, first + this.#columns.count[inode]!)
  }

  xattrs(inode: number): readonly Xattr[] {
    return this.#columns.xattrSets[this.#columns.xattrSet[inode]!]!
  }

  extents(inode: number): readonly Extent[] {
    const { type, first, count, extentPosition, extentChunk, extentCount } = this.#columns
    if (type[inode] !== FILE) return []
    const extents: Extent[] = []
    const start = first[inode]!
    for (let i = start; i < start + count[inode]!; i++) {
      extents.push({
        position: extentPosition[i]!,
        chunk: extentChunk[i]!,
        count: extentCount[i]!
      })
    }
    return extents
  }

  parent(directory: number): number {
    return this.#derived.parent[directory]!
  }

  firstEntry(directory: number): number {
    return this.#columns.type[directory] === DIRECTORY ? this.#columns.first[directory]! : 0
  }

  directoryEntryCount(directory: number): number {
    return this.#columns.type[directory] === DIRECTORY ? this.#columns.count[directory]! : 0
  }

  entryName(entry: number): Buffer {
    const { names, nameStart } = this.#columns
    return names.subarray(nameStart[entry], nameStart[entry + 1])
  }

  entryInode(entry: number): number {
    return this.#columns.entryInode[entry]!
  }

  lookup(directory: number, name: Uint8Array): number | undefined {
    const entry = this.findEntry(directory, name)
    return entry === undefined ? undefined : this.entryInode(entry)
  }

  findEntry(directory: number, name: Uint8Array): number | undefined {
    const { names, nameStart } = this.#columns
    let low = this.firstEntry(directory)
    let high = low + this.directoryEntryCount(directory) - 1
    while (low <= high) {
      const middle = (low + high) >>> 1
      const start = nameStart[middle]!
      const order = names.compare(name, 0, name.length, start, nameStart[middle + 1])
      if (order === 0) return middle
      if (order < 0) low = middle + 1
      else high = middle - 1
    }
    return undefined
  }
}
