import type { ChunkTable } from '../tree/tree.ts'

/**
 * The blocks of all chunks as `[first, count]` runs in ascending order: what must be fetched for an
 * image to be whole.
 */
export function chunkBlocks(
  chunks: ChunkTable,
  isWanted: (chunk: number) => boolean = () => true
): [number, number][] {
  const sorted = chunks.block
    .slice(0, chunks.length)
    .filter((_, chunk) => isWanted(chunk))
    .sort()
  const runs: [number, number][] = []
  for (const block of sorted) {
    const last = runs.at(-1)
    if (!last || block > last[0] + last[1]) runs.push([block, 1])
    else if (block === last[0] + last[1]) last[1]++
  }
  return runs
}
