import { hash } from 'node:crypto'

/** Bytes of one batch: a file's read, a worker's task and a sink's append. */
export const BATCH_BYTES = 1024 * 1024
/** A batch of tiny files ends here. */
export const BATCH_CHUNKS = 256
/** SHA-256 cut to 128 bits: only its own publisher could forge equal chunks, at 2^64 tries. */
export const CHUNK_HASH_BYTES = 16

/** What tells a chunk's content from others': {@link CHUNK_HASH_BYTES}. */
export function chunkHash(content: Uint8Array): Buffer {
  return hash('sha256', content, 'buffer').subarray(0, CHUNK_HASH_BYTES)
}

/**
 * Some file content in order, cut into chunks that lie back to back in `bytes`. A file's content may
 * spread over several batches; files do not interleave.
 */
export interface ContentBatch {
  /** {@link BATCH_BYTES} of room; its ArrayBuffer is passed from thread to thread. */
  readonly bytes: Uint8Array
  /** Length of each chunk. */
  readonly lengths: readonly number[]
  /** {@link CHUNK_HASH_BYTES} a chunk. */
  readonly hashes: Uint8Array
  /** What the chunks are, in order. */
  readonly pieces: readonly ContentPiece[]
}

export type ContentPiece =
  /** The next `count` chunks of the batch are the file's chunks from `position` on. */
  | {
      readonly kind: 'data'
      readonly inode: number
      readonly position: number
      readonly count: number
    }
  /** The file is complete. */
  | { readonly kind: 'end'; readonly inode: number; readonly size: number }

/** Where a publish gets content from: a directory, or an archive that streams by. */
export interface ContentSource {
  /**
   * All content, once. A batch may speak of inodes that the source added meanwhile; it is taken
   * before the next one is asked for, and the source's metadata is complete when there is none.
   *
   * @throws ContainerError `SOURCE_CHANGED`, `IO`, `BAD_SOURCE`, `CANCELLED`
   */
  batches(signal?: AbortSignal): AsyncIterable<ContentBatch>
  /** Gives a batch's buffer back, to be filled again. */
  recycle(buffer: ArrayBuffer): void
}
