import { compareBytes } from './compare-bytes.ts'
import { CHUNK_BYTES } from './tree.ts'
import { DIRECTORY, FILE, SYMLINK } from './column-tree.ts'
import {
  MAX_DATA_CHUNKS,
  MAX_DEPTH,
  badIndex,
  checkName,
  checkTarget,
  chunkCount
} from './tree-limits.ts'
import type { DerivedColumns, TreeColumns } from './column-tree.ts'

/**
 * Checks everything about a tree that is more than the range of one field, and derives link counts,
 * parents and chunk lengths on the way. A tree that passes has: one root, every inode reachable by a
 * name, every directory by exactly one, no cycle, sorted unique names that are names, extents that
 * lie inside their file and the chunk table, and one length for every chunk.
 *
 * @throws ContainerError `BAD_INDEX`
 */
export function checkTree(columns: TreeColumns): DerivedColumns {
  if (columns.type[0] !== DIRECTORY) throw badIndex('the root is not a directory')
  const inodeCount = columns.type.length
  const linkCount = new Uint32Array(inodeCount)
  const parent = new Uint32Array(inodeCount)
  const chunkBytes = new Uint32Array(columns.chunks.length)
  checkChunkTable(columns)
  let totalBytes = 0
  let dataChunks = 0
  for (let inode = 0; inode < inodeCount; inode++) {
    const type = columns.type[inode]
    const size = columns.size[inode]!
    if (type === FILE) {
      if (!Number.isSafeInteger(size) || size < 0) throw badIndex(`a file of ${size} bytes`)
      totalBytes += size
      if (totalBytes > Number.MAX_SAFE_INTEGER) throw badIndex('the files are too large together')
      dataChunks += checkExtents(columns, inode, MAX_DATA_CHUNKS - dataChunks, chunkBytes)
    } else if (size !== 0) {
      throw badIndex('an inode that is not a file has a size')
    }
    if (type === SYMLINK) {
      const first = columns.first[inode]!
      checkTarget(columns.targets, first, first + columns.count[inode]!)
    }
    if (type === DIRECTORY) {
      checkEntries(columns, inode, linkCount, parent)
    }
  }
  checkReachable(columns, linkCount, parent)
  return { linkCount, parent, chunkBytes }
}

function checkChunkTable({ chunks }: TreeColumns): void {
  for (let chunk = 0; chunk < chunks.length; chunk++) {
    const storedBytes = chunks.storedBytes[chunk]!
    if (storedBytes < 1 || storedBytes > CHUNK_BYTES) {
      throw badIndex(`chunk ${chunk} is stored in ${storedBytes} bytes`)
    }
  }
}

/** @returns how many chunk positions of the file hold data */
function checkExtents(
  columns: TreeColumns,
  inode: number,
  budget: number,
  chunkBytes: Uint32Array
): number {
  const { chunks } = columns
  const size = columns.size[inode]!
  const positions = chunkCount(size)
  const first = columns.first[inode]!
  let next = 0
  let total = 0
  for (let i = first; i < first + columns.count[inode]!; i++) {
    const position = columns.extentPosition[i]!
    const chunk = columns.extentChunk[i]!
    const count = columns.extentCount[i]!
    if (count < 1 || position < next || position + count > positions) {
      throw badIndex('extents overlap, are unsorted or exceed their file')
    }
    if (chunk + count > chunks.length) throw badIndex('an extent exceeds the chunk table')
    next = position + count
    total += count
    if (total > budget) throw badIndex('the files hold too much data together')
    for (let j = 0; j < count; j++) {
      const bytes = Math.min(CHUNK_BYTES, size - (position + j) * CHUNK_BYTES)
      checkChunkLength(columns, chunk + j, bytes, chunkBytes)
    }
  }
  return total
}

function checkChunkLength(
  { chunks }: TreeColumns,
  chunk: number,
  bytes: number,
  chunkBytes: Uint32Array
): void {
  if (chunkBytes[chunk] === bytes) return
  if (chunkBytes[chunk] !== 0) throw badIndex(`chunk ${chunk} is used with two lengths`)
  const storedBytes = chunks.storedBytes[chunk]!
  if (chunks.raw[chunk] === 1 ? storedBytes !== bytes : storedBytes >= bytes) {
    throw badIndex(`chunk ${chunk} of ${bytes} bytes is stored in ${storedBytes}`)
  }
  chunkBytes[chunk] = bytes
}

function checkEntries(
  columns: TreeColumns,
  directory: number,
  linkCount: Uint32Array,
  parent: Uint32Array
): void {
  const { names, nameStart, entryInode, type } = columns
  const first = columns.first[directory]!
  for (let entry = first; entry < first + columns.count[directory]!; entry++) {
    const start = nameStart[entry]!
    const end = nameStart[entry + 1]!
    checkName(names, start, end)
    const isBehind =
      entry === first || compareBytes(names, nameStart[entry - 1]!, start, names, start, end) < 0
    if (!isBehind) {
      throw badIndex('names in a directory are unsorted or repeated')
    }
    const child = entryInode[entry]!
    if (child >= type.length) throw badIndex(`an entry names inode ${child}, which is not there`)
    if (type[child] !== DIRECTORY) {
      linkCount[child]!++
      continue
    }
    // A directory's own count of 2 is added after all names are counted, so any count is a name.
    if (child === 0 || linkCount[child] !== 0) throw badIndex('a directory has two names')
    linkCount[child] = 1
    parent[child] = directory
  }
}

/**
 * With one name a directory, whatever does not lead up to the root hangs in a cycle. Turns the name
 * counts of directories into link counts.
 */
function checkReachable({ type }: TreeColumns, linkCount: Uint32Array, parent: Uint32Array): void {
  for (let inode = 1; inode < type.length; inode++) {
    if (linkCount[inode] === 0) throw badIndex('an inode has no name')
  }
  const depth = new Uint16Array(type.length)
  depth[0] = 1
  linkCount[0] = 2
  const chain: number[] = []
  for (let inode = 1; inode < type.length; inode++) {
    if (type[inode] !== DIRECTORY) continue
    let ancestor = inode
    while (depth[ancestor] === 0) {
      if (chain.push(ancestor) > MAX_DEPTH)
        throw badIndex('directories nest too deep, or in a cycle')
      ancestor = parent[ancestor]!
    }
    while (chain.length > 0) {
      const child = chain.pop()!
      const childDepth = depth[ancestor]! + 1
      depth[child] = childDepth
      if (childDepth > MAX_DEPTH) throw badIndex('directories nest too deep')
      ancestor = child
    }
    // One for the name it has, one for its own "."; each subdirectory's ".." adds to its parent.
    linkCount[inode]!++
    linkCount[parent[inode]!]!++
  }
}
