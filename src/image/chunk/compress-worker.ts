/** Thread of {@link ChunkCompressors}: compresses batches in place, or into the slots of an exchange. */
import { openSync } from 'node:fs'
import { parentPort } from 'node:worker_threads'
import { compressChunkInto } from './compression.ts'
import { SlotWriter } from './slot-writer.ts'
import type { ExchangeLayout } from './block-sink.ts'

export interface CompressRequest {
  readonly bytes: Uint8Array
  readonly lengths: readonly number[]
  /** 1 for chunks that are to be compressed; the others are dropped. */
  readonly wanted: Uint8Array
  /** Slot of the exchange for the compressed chunks; without one they are given back. */
  readonly slot?: number
}

/** The wanted chunks as stored. */
export interface CompressedBatch {
  /** The request's buffer; without a slot, the chunks lie back to back in it. */
  readonly bytes: Uint8Array
  readonly storedBytes: readonly number[]
  readonly raw: readonly boolean[]
}

let writer: SlotWriter | undefined

parentPort!.on('message', (message: CompressRequest | ExchangeLayout) => {
  if ('path' in message) writer = new SlotWriter(message, openSync(message.path, 'r+'))
  else compress(message)
})

function compress({ bytes, lengths, wanted, slot }: CompressRequest): void {
  const storedBytes: number[] = []
  const raw: boolean[] = []
  let from = 0
  let to = 0
  for (const [i, length] of lengths.entries()) {
    if (wanted[i] === 1) {
      const chunk = bytes.subarray(from, from + length)
      // Nothing is stored in more bytes than it has, so `to` never overtakes `from`.
      const stored =
        slot === undefined ? compressChunkInto(bytes, to, chunk) : writer!.compress(chunk)
      storedBytes.push(stored.storedBytes)
      raw.push(stored.raw)
      to += stored.storedBytes
    }
    from += length
  }
  if (slot !== undefined) writer!.write(slot)
  const done: CompressedBatch = { bytes, storedBytes, raw }
  parentPort!.postMessage(done, [bytes.buffer as ArrayBuffer])
}
