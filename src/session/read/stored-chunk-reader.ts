import type { ChunkReader } from '../../image/chunk/chunk-reader.ts'
import { isContainerError } from '../../core/errors.ts'
import { chunkContent } from '../../image/chunk/stored-chunk.ts'
import type { Tree } from '../../image/tree/tree.ts'

/** Reads one stored block; the index says which chunks it holds. */
export type ReadBlock = (block: number, signal?: AbortSignal) => Promise<Uint8Array>

/** Decodes chunks in this process, so that the daemon only passes on stored blocks. */
export class StoredChunkReader implements ChunkReader {
  readonly #tree: Tree
  readonly #readBlock: ReadBlock
  readonly #readChecked: ReadBlock

  /** @param readChecked reads a block again if one of its chunks does not decode, because the stored block may be damaged */
  constructor(tree: Tree, readBlock: ReadBlock, readChecked: ReadBlock) {
    this.#tree = tree
    this.#readBlock = readBlock
    this.#readChecked = readChecked
  }

  async read(chunk: number, signal?: AbortSignal): Promise<Uint8Array> {
    const { block: blocks, length } = this.#tree.chunks
    if (chunk < 0 || chunk >= length) throw new RangeError(`no chunk ${chunk}`)
    const block = blocks[chunk] ?? 0
    const stored = await this.#readBlock(block, signal)
    try {
      return chunkContent(this.#tree, chunk, stored)
    } catch (error) {
      if (!isContainerError(error, 'BAD_BLOCK')) throw error
      return chunkContent(this.#tree, chunk, await this.#readChecked(block, signal))
    }
  }
}
