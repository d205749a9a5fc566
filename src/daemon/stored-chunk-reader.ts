import type { ChunkReader } from '../image/chunk-reader.ts'
import { chunkContent } from '../image/stored-chunk.ts'
import type { Tree } from '../image/tree.ts'

/** Reads one stored block; the index says which chunks it holds. */
export type ReadBlock = (block: number, signal?: AbortSignal) => Promise<Uint8Array>

/** Decodes chunks in this process, so that the daemon only passes stored blocks on. */
export class StoredChunkReader implements ChunkReader {
  readonly #tree: Tree
  readonly #readBlock: ReadBlock

  constructor(tree: Tree, readBlock: ReadBlock) {
    this.#tree = tree
    this.#readBlock = readBlock
  }

  async read(chunk: number, signal?: AbortSignal): Promise<Uint8Array> {
    const { block, length } = this.#tree.chunks
    if (chunk < 0 || chunk >= length) throw new RangeError(`no chunk ${chunk}`)
    return chunkContent(this.#tree, chunk, await this.#readBlock(block[chunk] ?? 0, signal))
  }
}
