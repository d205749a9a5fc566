import { CHUNK_BYTES } from './tree.ts'

/** A run of a sparse file's bytes that an archive stores. */
export interface SparsePiece {
  readonly offset: number
  readonly length: number
}

/**
 * The whole chunks of a file that pieces lie in: a chunk is a hole only when all of it is.
 *
 * @param size of the file; ends of spans are on chunk boundaries but for this one
 * @param pieces ascending, not overlapping, not empty
 */
export function* chunkSpans(
  size: number,
  pieces: readonly SparsePiece[]
): Generator<{ start: number; end: number }, void, undefined> {
  let span: { start: number; end: number } | undefined
  for (const { offset, length } of pieces) {
    const start = Math.floor(offset / CHUNK_BYTES) * CHUNK_BYTES
    const end = Math.min(size, Math.ceil((offset + length) / CHUNK_BYTES) * CHUNK_BYTES)
    if (span !== undefined && start <= span.end) {
      span.end = Math.max(span.end, end)
    } else {
      if (span !== undefined) yield span
      span = { start, end }
    }
  }
  if (span !== undefined) yield span
}

/** Reads stored pieces one after another to where they belong, with zeros between. */
export class PieceReader {
  readonly #pieces: readonly SparsePiece[]
  readonly #read: (target: Uint8Array) => Promise<void>
  #next = 0
  #done = 0

  /** @param read fills its target with the next stored bytes */
  constructor(pieces: readonly SparsePiece[], read: (target: Uint8Array) => Promise<void>) {
    this.#pieces = pieces
    this.#read = read
  }

  /** Fills `target` with the file's bytes from `offset` on; no call may go back. */
  async fill(target: Uint8Array, offset: number): Promise<void> {
    let filled = 0
    for (let piece = this.#pieces[this.#next]; piece; piece = this.#pieces[this.#next]) {
      const start = piece.offset + this.#done - offset
      if (start >= target.length) break
      target.fill(0, filled, start)
      const end = Math.min(target.length, piece.offset + piece.length - offset)
      await this.#read(target.subarray(start, end))
      filled = end
      this.#done += end - start
      if (this.#done === piece.length) {
        this.#next++
        this.#done = 0
      }
    }
    target.fill(0, filled)
  }
}
