import type { Extent } from '../../image/tree/tree.ts'

/** Chunk number at a chunk position of a file, or undefined in a hole. Binary search. */
export function chunkAt(extents: readonly Extent[], position: number): number | undefined {
  let low = 0
  let high = extents.length
  while (low < high) {
    const middle = (low + high) >>> 1
    const extent = extents[middle]
    if (extent === undefined) return undefined
    if (position < extent.position) high = middle
    else if (position >= extent.position + extent.count) low = middle + 1
    else return extent.chunk + (position - extent.position)
  }
  return undefined
}
