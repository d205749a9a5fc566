import { TYPE_CODE } from './column-tree.ts'
import { INDEX_COLUMNS, INDEX_MAGIC, INDEX_VERSION, SEQUENTIAL } from './index-format.ts'
import { PackedWriter } from './packed-bytes.ts'
import { chunkCount } from './tree-limits.ts'
import type { IndexColumn } from './index-format.ts'
import type { Extent, InodeAttributes, Tree, Xattr } from './tree.ts'

type Columns = Readonly<Record<IndexColumn, PackedWriter>>

/**
 * Packs a tree: numbers of one kind side by side, as varints of what is hard to predict. Meant to be
 * compressed afterwards. Format: `docs/image-format.md`.
 */
export function encodeIndex(tree: Tree): Buffer {
  const columns = Object.fromEntries(
    INDEX_COLUMNS.map((name) => [name, new PackedWriter()])
  ) as unknown as Columns
  const extentCount = encodeInodes(tree, columns)
  encodeEntries(tree, columns)
  encodeChunks(tree, columns)

  const packed = new PackedWriter()
  packed.bytes(INDEX_MAGIC)
  for (const number of [
    INDEX_VERSION,
    tree.inodeCount,
    tree.entryCount,
    extentCount,
    tree.chunks.length
  ]) {
    packed.varint(number)
  }
  for (const name of INDEX_COLUMNS) packed.block(columns[name].view())
  return packed.view()
}

function encodeInodes(tree: Tree, columns: Columns): number {
  const attributeSets = new AttributeSets(columns.attributeSets)
  const xattrSets = new Map<readonly Xattr[], number>()
  let seconds = 0
  let lastWithXattrs = -1
  let nextChunk = 0
  let extentCount = 0
  for (let inode = 0; inode < tree.inodeCount; inode++) {
    const attributes = tree.attributes(inode)
    columns.attributeSet.varint(attributeSets.number(attributes))
    columns.mtimeSeconds.signed(attributes.mtimeSeconds - seconds)
    seconds = attributes.mtimeSeconds
    columns.mtimeNanoseconds.varint(attributes.mtimeNanoseconds)
    if (attributes.type === 'character' || attributes.type === 'block') {
      columns.devices.varint(attributes.deviceMajor)
      columns.devices.varint(attributes.deviceMinor)
    } else if (attributes.type === 'directory') {
      columns.entryCounts.varint(tree.directoryEntryCount(inode))
    } else if (attributes.type === 'symlink') {
      columns.targetLengths.varint(tree.size(inode))
      columns.targetBytes.bytes(tree.symlinkTarget(inode))
    } else if (attributes.type === 'file') {
      const extents = tree.extents(inode)
      columns.sizes.varint(tree.size(inode))
      encodeLayout(extents, tree.size(inode), nextChunk, columns.layouts)
      for (const { chunk, count } of extents) nextChunk = Math.max(nextChunk, chunk + count)
      extentCount += extents.length
    }
    const xattrs = tree.xattrs(inode)
    if (xattrs.length > 0) {
      columns.xattrInodes.varint(inode - lastWithXattrs - 1)
      columns.xattrInodes.varint(xattrSetNumber(xattrs, xattrSets, columns.xattrSets))
      lastWithXattrs = inode
    }
  }
  return extentCount
}

/** Distinct combinations of type, mode and owner are few. */
class AttributeSets {
  readonly #numbers = new Map<string, number>()
  readonly #column: PackedWriter

  constructor(column: PackedWriter) {
    this.#column = column
  }

  number({ type, mode, uid, gid }: InodeAttributes): number {
    const key = `${type} ${mode} ${uid} ${gid}`
    const known = this.#numbers.get(key)
    if (known !== undefined) return known
    for (const number of [TYPE_CODE[type], mode, uid, gid]) this.#column.varint(number)
    this.#numbers.set(key, this.#numbers.size)
    return this.#numbers.size - 1
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

function encodeLayout(
  extents: readonly Extent[],
  size: number,
  nextChunk: number,
  column: PackedWriter
): void {
  const [only] = extents
  const chunks = chunkCount(size)
  const isSequential =
    only === undefined
      ? chunks === 0
      : extents.length === 1 && only.chunk === nextChunk && only.count === chunks
  if (isSequential) {
    column.varint(SEQUENTIAL)
    return
  }
  column.varint(extents.length + 1)
  let position = 0
  let chunk = nextChunk
  for (const extent of extents) {
    column.varint(extent.position - position)
    column.signed(extent.chunk - chunk)
    column.varint(extent.count)
    position = extent.position + extent.count
    chunk = extent.chunk + extent.count
  }
}

function encodeEntries(tree: Tree, columns: Columns): void {
  let nextInode = 1
  for (let directory = 0; directory < tree.inodeCount; directory++) {
    const first = tree.firstEntry(directory)
    const count = tree.directoryEntryCount(directory)
    let previous: Uint8Array = Buffer.alloc(0)
    for (let entry = first; entry < first + count; entry++) {
      const name = tree.entryName(entry)
      const prefix = commonPrefix(previous, name)
      columns.namePrefixes.varint(prefix)
      columns.nameSuffixes.varint(name.length - prefix)
      columns.nameBytes.bytes(name.subarray(prefix))
      previous = name
      const inode = tree.entryInode(entry)
      columns.entryInodes.signed(inode - nextInode)
      nextInode = inode + 1
    }
  }
}

function commonPrefix(a: Uint8Array, b: Uint8Array): number {
  let length = 0
  while (length < a.length && a[length] === b[length]) length++
  return length
}

function encodeChunks({ chunks }: Tree, columns: Columns): void {
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
