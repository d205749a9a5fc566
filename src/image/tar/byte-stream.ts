import { asBuffer } from '../../core/as-buffer.ts'

/**
 * Reads an asynchronous sequence of byte pieces by count instead. Nothing is copied unless a read
 * crosses pieces, and nothing is read ahead but the piece at hand.
 */
export class ByteStream {
  readonly #pieces: AsyncIterator<Uint8Array>
  readonly #skipAhead: ((count: number) => number) | undefined
  #piece: Buffer = Buffer.alloc(0)
  #position = 0

  /**
   * @param skipAhead passes over bytes of `pieces` that were not yet read, for sources that can seek;
   *   returns how many there were, at most as many as it was asked for
   */
  constructor(pieces: AsyncIterable<Uint8Array>, skipAhead?: (count: number) => number) {
    this.#pieces = pieces[Symbol.asyncIterator]()
    this.#skipAhead = skipAhead
  }

  /** Bytes that were taken so far. */
  get position(): number {
    return this.#position
  }

  /** The next `count` bytes without waiting, or undefined where they are not at hand in one piece. */
  take(count: number): Buffer | undefined {
    if (this.#piece.length < count) return undefined
    const taken = this.#piece.subarray(0, count)
    this.#piece = this.#piece.subarray(count)
    this.#position += count
    return taken
  }

  /** @returns the next `count` bytes, fewer where the stream ends */
  async read(count: number): Promise<Buffer> {
    const taken = this.take(count)
    if (taken !== undefined) return taken
    const target = Buffer.allocUnsafe(count)
    return target.subarray(0, await this.readInto(target))
  }

  /** What {@link read} of as many returns next, which stays to be read. */
  async peek(count: number): Promise<Buffer> {
    while (this.#piece.length < count) {
      const before = this.#piece
      if (!(await this.#next())) {
        this.#piece = before
        break
      }
      this.#piece = Buffer.concat([before, this.#piece])
    }
    return this.#piece.subarray(0, count)
  }

  /** Fills `target`. @returns how many bytes, fewer than its length where the stream ends */
  async readInto(target: Uint8Array): Promise<number> {
    let filled = 0
    while (filled < target.length) {
      if (this.#piece.length === 0 && !(await this.#next())) break
      const part = this.take(Math.min(this.#piece.length, target.length - filled))!
      target.set(part, filled)
      filled += part.length
    }
    return filled
  }

  /** @returns how many bytes were skipped, fewer than `count` where the stream ends */
  async skip(count: number): Promise<number> {
    let left = count
    while (left > 0) {
      if (this.#piece.length === 0 && this.#skipAhead !== undefined) {
        const skipped = this.#skipAhead(left)
        this.#position += skipped
        return count - left + skipped
      }
      if (this.#piece.length === 0 && !(await this.#next())) break
      left -= this.take(Math.min(this.#piece.length, left))!.length
    }
    return count - left
  }

  /** @returns whatever is at hand next, undefined at the end */
  async readSome(): Promise<Buffer | undefined> {
    if (this.#piece.length === 0 && !(await this.#next())) return undefined
    return this.take(this.#piece.length)
  }

  async #next(): Promise<boolean> {
    for (;;) {
      const { done, value } = await this.#pieces.next()
      if (done) return false
      this.#piece = asBuffer(value)
      if (this.#piece.length > 0) return true
    }
  }
}
