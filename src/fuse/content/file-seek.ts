import { CHUNK_BYTES, type Extent } from '../../image/tree/tree.ts'

/**
 * lseek(2) with SEEK_DATA or SEEK_HOLE: where the first data, or the first hole, at or after `offset`
 * begins. A file ends in a hole.
 *
 * @param extents in order, as {@link Tree.extents} gives them
 * @returns undefined where there is none (ENXIO): past the end, or no data before it
 */
export function seekFile(
  extents: readonly Extent[],
  size: number,
  offset: number,
  what: 'data' | 'hole'
): number | undefined {
  if (!(offset < size)) return undefined
  let position = offset
  for (const extent of extents) {
    const start = extent.position * CHUNK_BYTES
    const end = start + extent.count * CHUNK_BYTES
    if (end <= position) continue
    if (what === 'data') return Math.min(Math.max(start, position), size)
    if (start > position) return position
    position = end
  }
  return what === 'data' ? undefined : Math.min(position, size)
}
