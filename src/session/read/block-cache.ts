import { ReadCache } from '../../image/chunk/read-cache.ts'
import { untilAborted } from '../../core/abort.ts'
import type { ReadBlock } from './stored-chunk-reader.ts'

/** Stored bytes: some hundred blocks, as their chunks are read by one reader or a few. */
const CAPACITY_BYTES = 8 * 1024 * 1024

/**
 * Adds a cache of recent blocks to a reader: several chunks share a block, and neighbouring chunks are often read
 * in a row. Concurrent reads of a block share one request, which continues if one of them is cancelled.
 */
export function cachedBlocks(read: (block: number) => Promise<Uint8Array>): ReadBlock {
  const blocks = new ReadCache({ read: (block) => read(block) }, CAPACITY_BYTES)
  return (block, signal) =>
    signal === undefined ? blocks.read(block) : untilAborted(blocks.read(block), signal)
}
