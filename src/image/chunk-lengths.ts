import { CHUNK_BYTES, type Tree } from './tree.ts'

/**
 * Content bytes of every chunk, by chunk number: {@link CHUNK_BYTES}, or less for the last chunk of
 * a file. A chunk that several files share has one content and so one length; where a hostile index
 * disagrees with itself the longest counts, and decoding then refuses the block.
 *
 * @returns 0 for chunks that no file uses
 */
export function chunkLengths(tree: Tree): Uint32Array {
  const lengths = new Uint32Array(tree.chunks.length)
  for (let inode = 0; inode < tree.inodeCount; inode++) {
    if (tree.type(inode) !== 'file') continue
    const size = tree.size(inode)
    for (const { position, chunk, count } of tree.extents(inode)) {
      lengths.fill(CHUNK_BYTES, chunk, chunk + count - 1)
      const last = chunk + count - 1
      const length = Math.min(CHUNK_BYTES, size - (position + count - 1) * CHUNK_BYTES)
      lengths[last] = Math.max(lengths[last] ?? 0, length)
    }
  }
  return lengths
}
