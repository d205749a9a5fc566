import { badIndex } from '../tree/tree-limits.ts'

/**
 * Unsigned LEB128 varints of up to 53 bits: seven bits a byte, low ones first, high bit set on all
 * but the last. Signed numbers are zigzag coded first: 0, -1, 1, -2, … become 0, 1, 2, 3, …
 */
const MAX_VARINT_BYTES = 8
/** Bit operators work on 32 bits; from here on a varint needs arithmetic. */
const WORD_BITS = 28
const WORD = 2 ** WORD_BITS

/** Appends numbers and bytes to a buffer that grows. */
export class PackedWriter {
  #bytes = Buffer.allocUnsafe(256)
  length = 0

  varint(value: number): void {
    this.#reserve(MAX_VARINT_BYTES)
    let rest = value
    while (rest >= WORD) {
      this.#bytes[this.length++] = (rest % 128) | 128
      rest = Math.floor(rest / 128)
    }
    while (rest >= 128) {
      this.#bytes[this.length++] = (rest & 127) | 128
      rest >>>= 7
    }
    this.#bytes[this.length++] = rest
  }

  /** `value` must fit 52 bits and a sign. */
  signed(value: number): void {
    this.varint(value < 0 ? -2 * value - 1 : 2 * value)
  }

  bytes(bytes: Uint8Array): void {
    this.#reserve(bytes.length)
    this.#bytes.set(bytes, this.length)
    this.length += bytes.length
  }

  /** `bytes[start, end)`: of few, faster than a view of them. */
  range(bytes: Uint8Array, start: number, end: number): void {
    this.#reserve(end - start)
    const own = this.#bytes
    let length = this.length
    for (let i = start; i < end; i++) own[length++] = bytes[i]!
    this.length = length
  }

  /** Length, then bytes. */
  block(bytes: Uint8Array): void {
    this.varint(bytes.length)
    this.bytes(bytes)
  }

  view(): Buffer {
    return this.#bytes.subarray(0, this.length)
  }

  #reserve(more: number): void {
    if (this.length + more <= this.#bytes.length) return
    const grown = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.length + more))
    grown.set(this.view())
    this.#bytes = grown
  }
}

/** Reads what {@link PackedWriter} wrote. Every method throws ContainerError `BAD_INDEX`. */
export class PackedReader {
  readonly #bytes: Uint8Array
  #offset = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  get remaining(): number {
    return this.#bytes.length - this.#offset
  }

  /** @param limit the largest value that makes sense here */
  varint(limit: number): number {
    const value = this.#varint()
    if (value > limit) throw badIndex(`the number ${value} is out of range`)
    return value
  }

  signed(): number {
    const value = this.#varint()
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2
  }

  bytes(length: number): Uint8Array {
    if (length > this.remaining) throw badIndex('it is cut short')
    this.#offset += length
    return this.#bytes.subarray(this.#offset - length, this.#offset)
  }

  block(limit: number): Uint8Array {
    return this.bytes(this.varint(Math.min(limit, this.remaining)))
  }

  /** Everything must have been read. */
  end(): void {
    if (this.remaining !== 0) throw badIndex('there is something after its end')
  }

  #varint(): number {
    const bytes = this.#bytes
    let offset = this.#offset
    let value = 0
    let shift = 0
    while (shift < WORD_BITS) {
      const byte = bytes[offset++]
      if (byte === undefined) throw badIndex('it is cut short')
      value |= (byte & 127) << shift
      if (byte < 128) {
        this.#offset = offset
        return value
      }
      shift += 7
    }
    let scale = WORD
    while (offset - this.#offset < MAX_VARINT_BYTES) {
      const byte = bytes[offset++]
      if (byte === undefined) throw badIndex('it is cut short')
      value += (byte & 127) * scale
      if (byte < 128) {
        if (value > Number.MAX_SAFE_INTEGER) break
        this.#offset = offset
        return value
      }
      scale *= 128
    }
    throw badIndex('a number is too long')
  }
}
