import { findHolders } from '../../image/format/profile-places.ts'
import { CHUNK_BYTES, type Tree } from '../../image/tree/tree.ts'
import { BLOCK_BYTES, type DataLayout } from './data-layout.ts'

/** A part of the data device, in bytes. */
export interface DeviceRange {
  readonly offset: number
  readonly bytes: number
}

/** The longest range: the next one is read meanwhile. */
const MOST_BYTES = 4 * CHUNK_BYTES

/**
 * Finds the ranges of chunks on the data device, in the given order. A chunk of several files is found in
 * the first of them. Reads the whole tree.
 */
export function deviceRanges(
  tree: Tree,
  layout: DataLayout,
  chunks: readonly number[]
): DeviceRange[] {
  const holders = findHolders(tree, new Set(chunks))
  const ranges: { offset: number; bytes: number }[] = []
  for (const chunk of chunks) {
    const holder = holders.get(chunk)
    const range = holder && rangeOf(layout, holder.inode, holder.position * CHUNK_BYTES)
    if (range === undefined) continue
    const last = ranges.at(-1)
    const goesOn = last !== undefined && last.offset + last.bytes === range.offset
    if (goesOn && last.bytes < MOST_BYTES) last.bytes += range.bytes
    else ranges.push(range)
  }
  return ranges
}

/** Range of the chunk at byte `position` of a file; undefined where the device has none of it. */
function rangeOf(layout: DataLayout, inode: number, position: number): DeviceRange | undefined {
  const end = layout.firstSegment[inode + 1] ?? 0
  for (let segment = layout.firstSegment[inode] ?? 0; segment < end; segment++) {
    const within = position - (layout.position[segment] ?? 0)
    const left = (layout.bytes[segment] ?? 0) - within
    if (within < 0 || left <= 0) continue
    const offset = (layout.block[segment] ?? 0) * BLOCK_BYTES + within
    return { offset, bytes: Math.min(left, CHUNK_BYTES) }
  }
  return undefined
}
