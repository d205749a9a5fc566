import { CHUNK_BYTES, type Tree } from '../../image/tree/tree.ts'

/** Block size of the data device and of the EROFS image over it. */
export const BLOCK_BYTES = 4096
/**
 * Zeros after every segment. The kernel reads the device ahead without knowing where files end: up to
 * two windows of 128 KiB past what was asked for. With the gap that costs a few pages of zeros; without
 * it, every small file drags its neighbours' chunks over the network. The device is virtual, so the
 * gap takes no room.
 */
const GAP_BLOCKS = (256 * 1024) / BLOCK_BYTES
/** Bound of the device's size, gaps included; a larger one goes without gaps. */
const MAX_BLOCKS_WITH_GAPS = 2 ** 31
/** A sparse file has at most this many granules, so its map stays below 8 MiB. */
const MAX_GRANULES = 2 ** 20

/**
 * Where file content lies on the data device. A *segment* is a run of one file's content at
 * consecutive blocks; a dense file is one segment, a sparse file one for each run between holes, an
 * empty file none. Segments are in order of device position; those of one inode are consecutive.
 */
export interface DataLayout {
  readonly segmentCount: number
  /** First device block of a segment. */
  readonly block: Float64Array
  readonly inode: Uint32Array
  /** Byte offset of the segment within its file. */
  readonly position: Float64Array
  /** Content bytes; the device pads with zeros to the next block. */
  readonly bytes: Float64Array
  /** Segments of inode `i` are `firstSegment[i]` up to, not including, `firstSegment[i + 1]`. */
  readonly firstSegment: Uint32Array
  /** Blocks of the whole device. */
  readonly blocks: number
}

/** Whether some chunk position of a file is a hole. */
export function isSparse(tree: Tree, inode: number): boolean {
  let covered = 0
  for (const { count } of tree.extents(inode)) covered += count
  return covered < Math.ceil(tree.size(inode) / CHUNK_BYTES)
}

/**
 * Bytes of the unit in which a sparse file of `size` bytes is mapped: a chunk, or a power of two of
 * chunks for files so large that a map by chunks would be too long.
 */
export function granuleBytes(size: number): number {
  let granule = CHUNK_BYTES
  while (size / granule > MAX_GRANULES) granule *= 2
  return granule
}

/** Whether EROFS would show some file's holes inexactly: a sparse file that cannot be mapped by chunks. */
export function hasCoarseHoles(tree: Tree): boolean {
  for (let inode = 0; inode < tree.inodeCount; inode++) {
    const size = tree.size(inode)
    if (granuleBytes(size) === CHUNK_BYTES || tree.type(inode) !== 'file') continue
    if (isSparse(tree, inode)) return true
  }
  return false
}

/** Lays the content of every regular file on one device, in order of inode numbers. */
export function planDataLayout(tree: Tree): DataLayout {
  const inodes: number[] = []
  const positions: number[] = []
  const lengths: number[] = []
  const firstSegment = new Uint32Array(tree.inodeCount + 1)
  for (let inode = 0; inode < tree.inodeCount; inode++) {
    firstSegment[inode] = inodes.length
    if (tree.type(inode) !== 'file') continue
    for (const { position, bytes } of segmentsOf(tree, inode)) {
      inodes.push(inode)
      positions.push(position)
      lengths.push(bytes)
    }
  }
  firstSegment[tree.inodeCount] = inodes.length
  return {
    segmentCount: inodes.length,
    ...place(lengths),
    inode: Uint32Array.from(inodes),
    position: Float64Array.from(positions),
    bytes: Float64Array.from(lengths),
    firstSegment
  }
}

/** One after the other, with gaps if the device stays small enough. */
function place(lengths: readonly number[]): Pick<DataLayout, 'block' | 'blocks'> {
  const block = new Float64Array(lengths.length)
  const total = lengths.reduce((sum, bytes) => sum + Math.ceil(bytes / BLOCK_BYTES), 0)
  const gap = total + lengths.length * GAP_BLOCKS <= MAX_BLOCKS_WITH_GAPS ? GAP_BLOCKS : 0
  let next = 0
  for (const [segment, bytes] of lengths.entries()) {
    block[segment] = next
    next += Math.ceil(bytes / BLOCK_BYTES) + gap
  }
  return { block, blocks: next }
}

interface Segment {
  readonly position: number
  readonly bytes: number
}

function segmentsOf(tree: Tree, inode: number): Segment[] {
  const size = tree.size(inode)
  if (size === 0) return []
  if (!isSparse(tree, inode)) return [{ position: 0, bytes: size }]
  const granule = granuleBytes(size)
  const segments: Segment[] = []
  let start = 0
  let end = 0
  for (const extent of tree.extents(inode)) {
    const first = Math.floor((extent.position * CHUNK_BYTES) / granule) * granule
    const last = Math.ceil(((extent.position + extent.count) * CHUNK_BYTES) / granule) * granule
    if (first > end) {
      if (end > start) segments.push({ position: start, bytes: end - start })
      start = first
    }
    end = Math.max(end, last)
  }
  end = Math.min(end, size)
  if (end > start) segments.push({ position: start, bytes: end - start })
  return segments
}

/** The segment that holds `block`, or the last one before it; -1 before the first. */
export function segmentAt(layout: DataLayout, block: number): number {
  let low = 0
  let high = layout.segmentCount
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((layout.block[middle] ?? 0) <= block) low = middle + 1
    else high = middle
  }
  return low - 1
}
