import type { ChunkReader } from '../image/chunk-reader.ts'
import { decompressChunk } from '../image/compression.ts'
import { ContainerError } from '../image/errors.ts'
import type { Tree } from '../image/tree.ts'

/** Reads one stored block; the index says which chunk it holds. */
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
    const { block, storedBytes, raw, length } = this.#tree.chunks
    if (chunk < 0 || chunk >= length) throw new RangeError(`no chunk ${chunk}`)
    const stored = await this.#readBlock(block[chunk] ?? 0, signal)
    if (stored.byteLength !== storedBytes[chunk]) {
      throw new ContainerError(
        'BAD_BLOCK',
        `block ${block[chunk]} is not as long as the index says`
      )
    }
    return decompressChunk(stored, raw[chunk] === 1, this.#tree.chunkBytes[chunk] ?? 0)
  }
}
