import { MAX_BLOCK_BYTES } from '../chunk/block-packer.ts'
import { ColumnTree, DIRECTORY, FILE, inOneShape, SYMLINK, TYPE_CODE } from '../tree/column-tree.ts'
import { ContainerError } from '../../core/errors.ts'
import {
  eachColumn,
  INDEX_COLUMNS,
  INDEX_MAGIC,
  INDEX_VERSION,
  INDEX_VERSION_WITHOUT_OFFSETS,
  MAX_INDEX_BYTES,
  SEQUENTIAL
} from './index-format.ts'
import { PackedReader } from './packed-bytes.ts'
import { checkTree } from '../tree/tree-check.ts'
import {
  MAX_CHUNKS,
  MAX_DEVICE_MAJOR,
  MAX_DEVICE_MINOR,
  MAX_ENTRIES,
  MAX_EXTENTS,
  MAX_ID,
  MAX_INODES,
  MAX_NAME_BYTES,
  MAX_POOL_BYTES,
  MAX_SYMLINK_BYTES,
  MAX_XATTR_LIST_BYTES,
  MAX_XATTR_NAME_BYTES,
  MAX_XATTR_VALUE_BYTES,
  badIndex,
  checkTime,
  checkXattrs,
  chunkCount
} from '../tree/tree-limits.ts'
import type { DeviceNumber } from '../tree/column-tree.ts'
import type { ChunkTable, Xattr } from '../tree/tree.ts'

const NOTHING = new Uint8Array(0)

type Readers = ReturnType<typeof eachColumn<PackedReader>>

interface Counts {
  readonly inodes: number
  readonly entries: number
  readonly extents: number
  readonly chunks: number
}

/**
 * Unpacks and checks an index that may come from anyone: no count is believed before the bytes that
 * back it have been seen, and nothing but a ContainerError comes out. The result does not refer to
 * `packed`.
 *
 * @throws ContainerError `BAD_INDEX`, or `UNSUPPORTED_VERSION` for an index of a later release
 */
export function decodeIndex(packed: Uint8Array): ColumnTree {
  if (packed.length > MAX_INDEX_BYTES) throw badIndex(`${packed.length} bytes is too large`)
  const reader = new PackedReader(packed)
  if (INDEX_MAGIC.compare(reader.bytes(INDEX_MAGIC.length)) !== 0) throw badIndex('it is none')
  const version = reader.varint(Number.MAX_SAFE_INTEGER)
  const hasOffsets = version === INDEX_VERSION
  if (!hasOffsets && version !== INDEX_VERSION_WITHOUT_OFFSETS) {
    throw new ContainerError('UNSUPPORTED_VERSION', `the image index has version ${version}`, {
      hint: `this release reads versions up to ${INDEX_VERSION}; upgrade dat-container`
    })
  }
  const counts: Counts = {
    inodes: reader.varint(MAX_INODES),
    entries: reader.varint(MAX_ENTRIES),
    extents: reader.varint(MAX_EXTENTS),
    chunks: reader.varint(MAX_CHUNKS)
  }
  const readers = eachColumn((name) => {
    const isThere = name !== 'chunkOffsets' || hasOffsets
    return new PackedReader(isThere ? reader.block(MAX_INDEX_BYTES) : NOTHING)
  })
  reader.end()
  checkCounts(counts, readers)
  if (hasOffsets && counts.chunks > readers.chunkOffsets.remaining) throw countsDoNotFit()

  const columns = inOneShape({
    ...decodeInodes(counts, readers),
    ...decodeEntries(counts, readers),
    chunks: decodeChunks(counts, readers, hasOffsets)
  })
  for (const name of INDEX_COLUMNS) readers[name].end()
  return new ColumnTree(columns, checkTree(columns))
}

/** Every item takes at least a byte of its column, so a column's length bounds its count. */
function checkCounts(counts: Counts, readers: Readers): void {
  if (
    counts.inodes < 1 ||
    counts.inodes > readers.attributeSet.remaining ||
    counts.inodes > readers.mtimeSeconds.remaining ||
    counts.entries > readers.namePrefixes.remaining ||
    counts.entries > readers.entryInodes.remaining ||
    counts.extents > readers.layouts.remaining ||
    counts.chunks > readers.chunkBlocks.remaining ||
    counts.chunks > readers.chunkStored.remaining
  ) {
    throw countsDoNotFit()
  }
}

function countsDoNotFit(): ContainerError {
  return badIndex('its counts do not fit its size')
}

function decodeInodes(counts: Counts, readers: Readers) {
  const length = counts.inodes
  const rows = {
    type: new Uint8Array(length),
    mode: new Uint16Array(length),
    uid: new Uint32Array(length),
    gid: new Uint32Array(length),
    mtimeSeconds: new Float64Array(length),
    mtimeNanoseconds: new Uint32Array(length),
    size: new Float64Array(length),
    first: new Uint32Array(length),
    count: new Uint32Array(length)
  }
  const sets = decodeAttributeSets(readers.attributeSets)
  const extents = new ExtentDecoder(counts, readers.layouts)
  const devices = new Map<number, DeviceNumber>()
  let seconds = 0
  let entries = 0
  let targetBytes = 0
  for (let inode = 0; inode < length; inode++) {
    const set = sets[readers.attributeSet.varint(sets.length - 1)]!
    rows.type[inode] = set.type
    rows.mode[inode] = set.mode
    rows.uid[inode] = set.uid
    rows.gid[inode] = set.gid
    seconds += readers.mtimeSeconds.signed()
    const nanoseconds = readers.mtimeNanoseconds.varint(Number.MAX_SAFE_INTEGER)
    checkTime(seconds, nanoseconds)
    rows.mtimeSeconds[inode] = seconds
    rows.mtimeNanoseconds[inode] = nanoseconds
    if (set.type === FILE) {
      const size = readers.sizes.varint(Number.MAX_SAFE_INTEGER)
      rows.size[inode] = size
      rows.first[inode] = extents.length
      extents.decode(size)
      rows.count[inode] = extents.length - rows.first[inode]!
    } else if (set.type === DIRECTORY) {
      rows.first[inode] = entries
      rows.count[inode] = readers.entryCounts.varint(counts.entries - entries)
      entries += rows.count[inode]!
    } else if (set.type === SYMLINK) {
      rows.first[inode] = targetBytes
      rows.count[inode] = readers.targetLengths.varint(MAX_SYMLINK_BYTES)
      targetBytes += rows.count[inode]!
    } else if (set.type === TYPE_CODE.character || set.type === TYPE_CODE.block) {
      const major = readers.devices.varint(MAX_DEVICE_MAJOR)
      devices.set(inode, { major, minor: readers.devices.varint(MAX_DEVICE_MINOR) })
    }
  }
  if (entries !== counts.entries) throw badIndex('its entry counts do not add up')
  return {
    ...rows,
    devices,
    ...extents.finish(),
    targets: Buffer.from(readers.targetBytes.bytes(targetBytes)),
    ...decodeXattrs(length, readers)
  }
}

interface AttributeSet {
  readonly type: number
  readonly mode: number
  readonly uid: number
  readonly gid: number
}

function decodeAttributeSets(reader: PackedReader): AttributeSet[] {
  const sets: AttributeSet[] = []
  while (reader.remaining > 0) {
    sets.push({
      type: reader.varint(TYPE_CODE.block),
      mode: reader.varint(0o7777),
      uid: reader.varint(MAX_ID),
      gid: reader.varint(MAX_ID)
    })
  }
  return sets
}

/** Reads layouts into the extent columns. */
class ExtentDecoder {
  length = 0
  readonly #position: Float64Array
  readonly #chunk: Uint32Array
  readonly #count: Uint32Array
  readonly #chunks: number
  readonly #layouts: PackedReader
  #nextChunk = 0

  constructor(counts: Counts, layouts: PackedReader) {
    this.#position = new Float64Array(counts.extents)
    this.#chunk = new Uint32Array(counts.extents)
    this.#count = new Uint32Array(counts.extents)
    this.#chunks = counts.chunks
    this.#layouts = layouts
  }

  decode(size: number): void {
    const layout = this.#layouts.varint(MAX_EXTENTS + 1)
    if (layout === SEQUENTIAL) {
      const count = chunkCount(size)
      if (count > 0) this.#push(0, this.#nextChunk, count)
      return
    }
    let position = 0
    let chunk = this.#nextChunk
    for (let left = layout - 1; left > 0; left--) {
      position += this.#layouts.varint(Number.MAX_SAFE_INTEGER)
      chunk += this.#layouts.signed()
      const count = this.#layouts.varint(this.#chunks)
      this.#push(position, chunk, count)
      position += count
      chunk += count
    }
  }

  finish() {
    if (this.length !== this.#count.length) throw badIndex('its extents do not add up')
    return {
      extentPosition: this.#position,
      extentChunk: this.#chunk,
      extentCount: this.#count
    }
  }

  #push(position: number, chunk: number, count: number): void {
    if (this.length === this.#count.length) throw badIndex('it has more extents than it says')
    // Checked here because a 32-bit column would wrap a number that is out of range.
    if (chunk < 0 || chunk + count > this.#chunks || !Number.isSafeInteger(position)) {
      throw badIndex('an extent exceeds the chunk table')
    }
    this.#position[this.length] = position
    this.#chunk[this.length] = chunk
    this.#count[this.length] = count
    this.length++
    this.#nextChunk = Math.max(this.#nextChunk, chunk + count)
  }
}

function decodeXattrs(inodes: number, readers: Readers) {
  const xattrSets: (readonly Xattr[])[] = [[]]
  const reader = readers.xattrSets
  while (reader.remaining > 0) xattrSets.push(decodeXattrSet(reader))
  const xattrSet = new Uint32Array(inodes)
  let inode = -1
  while (readers.xattrInodes.remaining > 0) {
    inode += readers.xattrInodes.varint(MAX_INODES) + 1
    if (inode >= inodes) throw badIndex('an extended attribute belongs to no inode')
    xattrSet[inode] = readers.xattrInodes.varint(xattrSets.length - 2) + 1
  }
  return { xattrSets, xattrSet }
}

function decodeXattrSet(reader: PackedReader): readonly Xattr[] {
  const set: Xattr[] = []
  for (let left = reader.varint(MAX_XATTR_LIST_BYTES); left > 0; left--) {
    const name = Buffer.from(reader.block(MAX_XATTR_NAME_BYTES))
    set.push({ name, value: Buffer.from(reader.block(MAX_XATTR_VALUE_BYTES)) })
  }
  if (set.length === 0) throw badIndex('a set of extended attributes is empty')
  checkXattrs(set)
  return set
}

function decodeEntries(counts: Counts, readers: Readers) {
  const { nameStart, prefixes } = decodeNameLengths(counts, readers)
  const names = Buffer.allocUnsafeSlow(nameStart[counts.entries]!)
  const entryInode = new Uint32Array(counts.entries)
  let inode = 0
  for (let entry = 0; entry < counts.entries; entry++) {
    const start = nameStart[entry]!
    const end = nameStart[entry + 1]!
    const prefix = prefixes[entry]!
    // Byte by byte: names are too short for copy calls to pay.
    const previous = entry === 0 ? 0 : nameStart[entry - 1]!
    for (let i = 0; i < prefix; i++) names[start + i] = names[previous + i]!
    const suffix = readers.nameBytes.bytes(end - start - prefix)
    for (let i = 0; i < suffix.length; i++) names[start + prefix + i] = suffix[i]!
    inode += readers.entryInodes.signed() + 1
    if (inode < 0 || inode >= counts.inodes) throw badIndex('an entry names no inode')
    entryInode[entry] = inode
  }
  return { names, nameStart, entryInode }
}

/** Adds up all name lengths before the pool is allocated. */
function decodeNameLengths(counts: Counts, readers: Readers) {
  const nameStart = new Uint32Array(counts.entries + 1)
  const prefixes = new Uint8Array(counts.entries)
  let total = 0
  let previousLength = 0
  for (let entry = 0; entry < counts.entries; entry++) {
    const prefix = readers.namePrefixes.varint(previousLength)
    previousLength = prefix + readers.nameSuffixes.varint(MAX_NAME_BYTES - prefix)
    total += previousLength
    if (total > MAX_POOL_BYTES) throw badIndex('too many bytes of names')
    prefixes[entry] = prefix
    nameStart[entry + 1] = total
  }
  return { nameStart, prefixes }
}

function decodeChunks(counts: Counts, readers: Readers, hasOffsets: boolean): ChunkTable {
  const length = counts.chunks
  const block = new Uint32Array(length)
  const storedBytes = new Uint32Array(length)
  const raw = new Uint8Array(length)
  const offset = new Uint32Array(length)
  let next = 0
  let end = 0
  for (let chunk = 0; chunk < length; chunk++) {
    next += readers.chunkBlocks.signed()
    if (next < 0 || next > 0xffff_ffff) throw badIndex('a block number is out of range')
    const isBehind = chunk > 0 && next === block[chunk - 1]
    block[chunk] = next
    next++
    const stored = readers.chunkStored.varint(2 ** 32 - 1)
    storedBytes[chunk] = stored >>> 1
    raw[chunk] = stored & 1
    if (!hasOffsets) continue
    const start = (isBehind ? end : 0) + readers.chunkOffsets.signed()
    end = start + storedBytes[chunk]!
    if (start < 0 || end > MAX_BLOCK_BYTES) throw badIndex('a chunk exceeds its block')
    offset[chunk] = start
  }
  return { length, block, offset, storedBytes, raw }
}
