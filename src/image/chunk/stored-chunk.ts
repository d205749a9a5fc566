import { decompressChunk } from './compression.ts'
import { ContainerError } from '../../core/errors.ts'
import type { Tree } from '../tree/tree.ts'

/**
 * The part of a block that is one stored chunk; a view.
 *
 * @throws ContainerError `BAD_BLOCK` when the block ends before the chunk
 */
export function storedChunk({ chunks }: Tree, chunk: number, block: Uint8Array): Uint8Array {
  const start = chunks.offset[chunk] ?? 0
  const end = start + (chunks.storedBytes[chunk] ?? 0)
  if (end <= block.length) return block.subarray(start, end)
  const number = chunks.block[chunk]
  throw new ContainerError('BAD_BLOCK', `block ${number} is not as long as the index says`, {
    hint: 'the image is damaged; ask its publisher to share it again'
  })
}

/**
 * A chunk's content, of the block that holds it.
 *
 * @throws ContainerError `BAD_BLOCK`
 */
export function chunkContent(tree: Tree, chunk: number, block: Uint8Array): Uint8Array {
  const isRaw = tree.chunks.raw[chunk] === 1
  return decompressChunk(storedChunk(tree, chunk, block), isRaw, tree.chunkBytes[chunk] ?? 0)
}
