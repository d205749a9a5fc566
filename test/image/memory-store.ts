import { chunkContent } from '../../src/image/chunk/stored-chunk.ts'
import type { ChunkReader } from '../../src/image/chunk/chunk-reader.ts'
import type { ColumnTree } from '../../src/image/tree/column-tree.ts'
import type { PartPointer } from '../../src/image/format/manifest.ts'
import type { BlockSink } from '../../src/image/chunk/block-sink.ts'

/** The blobs core of a drive, as an array. */
export class MemoryStore implements BlockSink {
  readonly blocks: Uint8Array[] = []

  async append(blocks: readonly Uint8Array[]): Promise<number> {
    const first = this.blocks.push(...blocks.map((block) => block.slice())) - blocks.length
    // The caller must leave its blocks alone until then, and no longer.
    await new Promise((resolve) => setImmediate(resolve))
    return first
  }

  part({ block, blocks }: PartPointer): Uint8Array[] {
    return this.blocks.slice(block, block + blocks)
  }

  reader(tree: ColumnTree): ChunkReader {
    const { block } = tree.chunks
    return { read: async (chunk) => chunkContent(tree, chunk, this.blocks[block[chunk]!]!) }
  }
}
