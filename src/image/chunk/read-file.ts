import { ContainerError } from '../../core/errors.ts'
import { CHUNK_BYTES } from '../tree/tree.ts'
import type { ChunkReader } from './chunk-reader.ts'
import type { Extent, Tree } from '../tree/tree.ts'

export { resolvePath } from '../tree/resolve-path.ts'
export { walk } from '../tree/walk.ts'

/** Chunks asked for at once; they may come over a link, where one at a time would crawl. */
const PARALLEL_CHUNKS = 8

/**
 * Content of a file in `[offset, offset + length)`, cut at the file's end. Holes read as zeros.
 *
 * @throws ContainerError what {@link ChunkReader.read} throws; `BAD_BLOCK` for a chunk that is short
 */
export async function readFileRange(
  tree: Tree,
  chunks: ChunkReader,
  inode: number,
  offset: number,
  length: number,
  signal?: AbortSignal
): Promise<Buffer> {
  const end = Math.min(tree.size(inode), offset + length)
  if (tree.type(inode) !== 'file' || end <= offset) return Buffer.alloc(0)
  const content = Buffer.alloc(end - offset)
  const pieces = chunksBetween(tree.extents(inode), offset, end)
  const readOn = async (): Promise<void> => {
    for (let piece = pieces.next(); !piece.done; piece = pieces.next()) {
      const { chunk, start } = piece.value
      const bytes = await chunks.read(chunk, signal)
      const from = Math.max(offset, start)
      const to = Math.min(end, start + CHUNK_BYTES)
      if (bytes.length < to - start) {
        throw new ContainerError('BAD_BLOCK', `chunk ${chunk} is shorter than its file says`)
      }
      content.set(bytes.subarray(from - start, to - start), from - offset)
    }
  }
  await Promise.all(Array.from({ length: PARALLEL_CHUNKS }, readOn))
  return content
}

/** The stored chunks that overlap a byte range, and the file offset where each starts. */
function* chunksBetween(
  extents: readonly Extent[],
  offset: number,
  end: number
): Generator<{ chunk: number; start: number }, void, undefined> {
  const firstPosition = Math.floor(offset / CHUNK_BYTES)
  const endPosition = Math.ceil(end / CHUNK_BYTES)
  for (const { position, chunk, count } of extents) {
    const from = Math.max(position, firstPosition)
    const to = Math.min(position + count, endPosition)
    for (let i = from; i < to; i++) yield { chunk: chunk + i - position, start: i * CHUNK_BYTES }
  }
}
