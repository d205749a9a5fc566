/** Thread of {@link ChunkCompressors}: compresses batches in place. */
import { parentPort } from 'node:worker_threads'
import { compressChunkInto } from './compression.ts'

export interface CompressRequest {
  readonly bytes: Uint8Array
  readonly lengths: readonly number[]
  /** 1 for chunks that are to be compressed; the others are dropped. */
  readonly wanted: Uint8Array
}

/** The wanted chunks as stored, back to back in `bytes`. */
export interface CompressedBatch {
  readonly bytes: Uint8Array
  readonly storedBytes: readonly number[]
  readonly raw: readonly boolean[]
}

parentPort!.on('message', ({ bytes, lengths, wanted }: CompressRequest) => {
  const storedBytes: number[] = []
  const raw: boolean[] = []
  let from = 0
  let to = 0
  for (const [i, length] of lengths.entries()) {
    if (wanted[i] === 1) {
      // Nothing is stored in more bytes than it has, so `to` never overtakes `from`.
      const stored = compressChunkInto(bytes, to, bytes.subarray(from, from + length))
      storedBytes.push(stored.storedBytes)
      raw.push(stored.raw)
      to += stored.storedBytes
    }
    from += length
  }
  const done: CompressedBatch = { bytes, storedBytes, raw }
  parentPort!.postMessage(done, [bytes.buffer as ArrayBuffer])
})
