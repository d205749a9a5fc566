import { BATCH_BYTES, BATCH_CHUNKS, chunkHash } from '../tree/content-batch.ts'
import { CHUNK_BYTES } from '../tree/tree.ts'
import type { ContentBatch, ContentPiece } from '../tree/content-batch.ts'

/**
 * Fills batches. Content is written to {@link room} and then claimed by {@link addData}; whenever
 * {@link isFull}, the batch must be taken before more is added.
 */
export class BatchPacker {
  readonly #allocate: () => ArrayBuffer
  #bytes: Uint8Array
  #used = 0
  #lengths: number[] = []
  #hashes: Uint8Array[] = []
  #pieces: ContentPiece[] = []

  /** @param allocate makes or reuses a buffer of `BATCH_BYTES` */
  constructor(allocate: () => ArrayBuffer) {
    this.#allocate = allocate
    this.#bytes = new Uint8Array(allocate())
  }

  get isEmpty(): boolean {
    return this.#pieces.length === 0
  }

  /** Whether not even one whole chunk more is sure to fit. */
  get isFull(): boolean {
    return (
      BATCH_BYTES - this.#used < CHUNK_BYTES ||
      this.#lengths.length >= BATCH_CHUNKS ||
      this.#pieces.length >= 2 * BATCH_CHUNKS
    )
  }

  /** Room for whole chunks of the current file. */
  room(): Uint8Array {
    const chunks = Math.min(
      Math.floor((BATCH_BYTES - this.#used) / CHUNK_BYTES),
      BATCH_CHUNKS - this.#lengths.length
    )
    return this.#bytes.subarray(this.#used, this.#used + chunks * CHUNK_BYTES)
  }

  /** Claims `length` bytes of the room as chunks of `inode` from chunk `position` on. */
  addData(inode: number, position: number, length: number): void {
    const count = Math.ceil(length / CHUNK_BYTES)
    for (let start = 0; start < length; start += CHUNK_BYTES) {
      const chunkLength = Math.min(CHUNK_BYTES, length - start)
      const from = this.#used + start
      const chunk = this.#bytes.subarray(from, from + chunkLength)
      this.#lengths.push(chunkLength)
      this.#hashes.push(chunkHash(chunk))
    }
    this.#used += length
    this.#pieces.push({ kind: 'data', inode, position, count })
  }

  endFile(inode: number, size: number): void {
    this.#pieces.push({ kind: 'end', inode, size })
  }

  take(): ContentBatch {
    const batch: ContentBatch = {
      bytes: this.#bytes,
      lengths: this.#lengths,
      hashes: new Uint8Array(Buffer.concat(this.#hashes)),
      pieces: this.#pieces
    }
    this.#bytes = new Uint8Array(this.#allocate())
    this.#used = 0
    this.#lengths = []
    this.#hashes = []
    this.#pieces = []
    return batch
  }
}
