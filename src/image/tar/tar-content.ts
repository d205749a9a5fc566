import { chunkSpans, PieceReader } from '../tree/sparse-pieces.ts'
import { CHUNK_BYTES } from '../tree/tree.ts'
import type { BatchPacker } from '../chunk/batch-packer.ts'
import type { ContentBatch } from '../tree/content-batch.ts'
import type { TarInode, TarReader } from './tar-reader.ts'

/**
 * The content of the entry at hand, into batches as the content of `inode`. Batches that are full
 * meanwhile are yielded.
 *
 * @param onBytes given the content that was read, as long as the call lasts
 */
export async function* packTarContent(
  inode: number,
  { size, pieces }: NonNullable<TarInode['content']>,
  reader: TarReader,
  packer: BatchPacker,
  onBytes: (bytes: Uint8Array) => void = () => {}
): AsyncGenerator<ContentBatch, void, undefined> {
  const placed = new PieceReader(pieces, (target) => reader.readContent(target))
  for (const { start, end } of chunkSpans(size, pieces)) {
    let offset = start
    while (offset < end) {
      if (packer.isFull) yield packer.take()
      const room = packer.room()
      const target = room.subarray(0, Math.min(room.length, end - offset))
      await placed.fill(target, offset)
      packer.addData(inode, offset / CHUNK_BYTES, target.length)
      offset += target.length
      onBytes(target)
    }
  }
  packer.endFile(inode, size)
}
