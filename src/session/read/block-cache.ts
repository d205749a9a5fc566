import { ReadCache } from '../../image/chunk/read-cache.ts'
import { untilAborted } from '../../core/abort.ts'
import type { ReadBlock } from './stored-chunk-reader.ts'

/** Stored bytes: some hundred blocks, as their chunks are read by one reader or a few. */
const CAPACITY_BYTES = 8 * 1024 * 1024

/**
 * Keeps the blocks read last: several chunks share one, and whoever reads one of them often reads the
 * next. A read that is under way serves all who ask meanwhile, and goes on when one of them gives up.
 */
export function cachedBlocks(read: (block: number) => Promise<Uint8Array>): ReadBlock {
  const blocks = new ReadCache({ read: (block) => read(block) }, CAPACITY_BYTES)
  return (block, signal) =>
    signal === undefined ? blocks.read(block) : untilAborted(blocks.read(block), signal)
}
