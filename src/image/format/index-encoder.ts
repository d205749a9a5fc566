import { DIRECTORY, FILE, SYMLINK, TYPE_CODE } from '../tree/column-tree.ts'
import {
  eachColumn,
  INDEX_COLUMNS,
  INDEX_MAGIC,
  INDEX_VERSION,
  SEQUENTIAL
} from './index-format.ts'
import { PackedWriter } from './packed-bytes.ts'
import { chunkCount } from '../tree/tree-limits.ts'
import type { ColumnTree, TreeColumns } from '../tree/column-tree.ts'
import type { Xattr } from '../tree/tree.ts'

type Columns = ReturnType<typeof eachColumn<PackedWriter>>

/**
 * Packs a tree: numbers of one kind side by side, as varints of what is hard to predict. Meant to be
 * compressed afterwards. Format: `docs/image-format.md`.
 */
export function encodeIndex(tree: ColumnTree): Buffer {
  const columns = eachColumn(() => new PackedWriter())
  encodeInodes(tree.columns, columns)
  encodeEntries(tree.columns, columns)
  encodeChunks(tree.columns, columns)

  const packed = new PackedWriter()
  packed.bytes(INDEX_MAGIC)
  for (const number of [
    INDEX_VERSION,
    tree.inodeCount,
    tree.entryCount,
    extentsOfFiles(tree.columns),
    tree.chunks.length
  ]) {
    packed.varint(number)
  }
  for (const name of INDEX_COLUMNS) packed.block(columns[name].view())
  return packed.view()
}

function extentsOfFiles({ type, count }: TreeColumns): number {
  let extents = 0
  for (let inode = 0; inode < type.length; inode++) {
    if (type[inode] === FILE) extents += count[inode]!
  }
  return extents
}

function encodeInodes(tree: TreeColumns, columns: Columns): void {
  const attributeSets = new AttributeSets(columns.attributeSets)
  const xattrSets = new Map<readonly Xattr[], number>()
  let seconds = 0
  let lastWithXattrs = -1
  let nextChunk = 0
  for (let inode = 0; inode < tree.type.length; inode++) {
    columns.attributeSet.varint(attributeSets.number(tree, inode))
    columns.mtimeSeconds.signed(tree.mtimeSeconds[inode]! - seconds)
    seconds = tree.mtimeSeconds[inode]!
    columns.mtimeNanoseconds.varint(tree.mtimeNanoseconds[inode]!)
    const type = tree.type[inode]!
    const count = tree.count[inode]!
    if (type === FILE) {
      columns.sizes.varint(tree.size[inode]!)
      nextChunk = encodeLayout(tree, inode, nextChunk, columns.layouts)
    } else if (type === DIRECTORY) {
      columns.entryCounts.varint(count)
    } else if (type === SYMLINK) {
      const first = tree.first[inode]!
      columns.targetLengths.varint(count)
      columns.targetBytes.bytes(tree.targets.subarray(first, first + count))
    } else if (type === TYPE_CODE.character || type === TYPE_CODE.block) {
      const { major, minor } = tree.devices.get(inode)!
      columns.devices.varint(major)
      columns.devices.varint(minor)
    }
    const xattrSet = tree.xattrSet[inode]!
    if (xattrSet !== 0) {
      columns.xattrInodes.varint(inode - lastWithXattrs - 1)
      const xattrs = tree.xattrSets[xattrSet]!
      columns.xattrInodes.varint(xattrSetNumber(xattrs, xattrSets, columns.xattrSets))
      lastWithXattrs = inode
    }
  }
}

/** Distinct combinations of type, mode and owner are few, and most inodes have their neighbour's. */
class AttributeSets {
  readonly #numbers = new Map<string, number>()
  readonly #column: PackedWriter
  #last = { inode: -1, number: 0 }

  constructor(column: PackedWriter) {
    this.#column = column
  }

  number({ type, mode, uid, gid }: TreeColumns, inode: number): number {
    const last = this.#last
    const isAsLast =
      last.inode >= 0 &&
      type[inode] === type[last.inode] &&
      mode[inode] === mode[last.inode] &&
      uid[inode] === uid[last.inode] &&
      gid[inode] === gid[last.inode]
    if (isAsLast) return last.number
    const set = [type[inode]!, mode[inode]!, uid[inode]!, gid[inode]!]
    const key = set.join(' ')
    const number = this.#numbers.get(key) ?? this.#numbers.size
    if (number === this.#numbers.size) {
      for (const part of set) this.#column.varint(part)
      this.#numbers.set(key, number)
    }
    this.#last = { inode, number }
    return number
  }
}

/** Trees intern their sets, so the set's identity is its number. */
function xattrSetNumber(
  xattrs: readonly Xattr[],
  numbers: Map<readonly Xattr[], number>,
  column: PackedWriter
): number {
  const known = numbers.get(xattrs)
  if (known !== undefined) return known
  column.varint(xattrs.length)
  for (const { name, value } of xattrs) {
    column.block(name)
    column.block(value)
  }
  numbers.set(xattrs, numbers.size)
  return numbers.size - 1
}

/**
 * @param nextChunk lowest number that no file before used
 * @returns the same for the next file
 */
function encodeLayout(
  tree: TreeColumns,
  inode: number,
  nextChunk: number,
  column: PackedWriter
): number {
  const { extentPosition, extentChunk, extentCount } = tree
  const first = tree.first[inode]!
  const count = tree.count[inode]!
  const chunks = chunkCount(tree.size[inode]!)
  const isSequential =
    count === 0
      ? chunks === 0
      : count === 1 && extentChunk[first] === nextChunk && extentCount[first] === chunks
  if (isSequential) {
    column.varint(SEQUENTIAL)
    return nextChunk + chunks
  }
  column.varint(count + 1)
  let position = 0
  let chunk = nextChunk
  let next = nextChunk
  for (let extent = first; extent < first + count; extent++) {
    column.varint(extentPosition[extent]! - position)
    column.signed(extentChunk[extent]! - chunk)
    column.varint(extentCount[extent]!)
    position = extentPosition[extent]! + extentCount[extent]!
    chunk = extentChunk[extent]! + extentCount[extent]!
    next = Math.max(next, chunk)
  }
  return next
}

function encodeEntries(tree: TreeColumns, columns: Columns): void {
  const { type, first, count, nameStart, names, entryInode } = tree
  let nextInode = 1
  for (let directory = 0; directory < type.length; directory++) {
    if (type[directory] !== DIRECTORY) continue
    const from = first[directory]!
    // The name before, empty at first.
    let before = nameStart[from]!
    for (let entry = from; entry < from + count[directory]!; entry++) {
      const start = nameStart[entry]!
      const end = nameStart[entry + 1]!
      const prefix = commonPrefix(names, before, start, end)
      columns.namePrefixes.varint(prefix)
      columns.nameSuffixes.varint(end - start - prefix)
      columns.nameBytes.range(names, start + prefix, end)
      before = start
      const inode = entryInode[entry]!
      columns.entryInodes.signed(inode - nextInode)
      nextInode = inode + 1
    }
  }
}

/** Length of the common prefix of `names[before, start)` and `names[start, end)`. */
function commonPrefix(names: Uint8Array, before: number, start: number, end: number): number {
  const most = Math.min(start - before, end - start)
  let length = 0
  while (length < most && names[before + length] === names[start + length]) length++
  return length
}

function encodeChunks({ chunks }: TreeColumns, columns: Columns): void {
  let last = -1
  let end = 0
  for (let chunk = 0; chunk < chunks.length; chunk++) {
    const block = chunks.block[chunk]!
    const offset = chunks.offset[chunk]!
    const storedBytes = chunks.storedBytes[chunk]!
    columns.chunkBlocks.signed(block - (last + 1))
    columns.chunkStored.varint(storedBytes * 2 + chunks.raw[chunk]!)
    columns.chunkOffsets.signed(offset - (block === last ? end : 0))
    last = block
    end = offset + storedBytes
  }
}
