import { DATA_ADDRESS } from './elf.ts'

const WORD_BYTES = 8

/** The data of a generated program: constants that it reads, and words that it writes. */
export class ProgramData {
  readonly #parts: Buffer[] = []
  #length = 0

  /** @returns where the bytes will be, aligned to a word */
  bytes(content: Buffer): bigint {
    const address = DATA_ADDRESS + BigInt(this.#length)
    const padded = Buffer.alloc(Math.ceil(content.length / WORD_BYTES) * WORD_BYTES)
    content.copy(padded)
    this.#parts.push(padded)
    this.#length += padded.length
    return address
  }

  /** Words of 64 bits, one after another. */
  words(...values: bigint[]): bigint {
    const buffer = Buffer.alloc(values.length * WORD_BYTES)
    for (const [index, value] of values.entries()) {
      buffer.writeBigUInt64LE(BigInt.asUintN(64, value), index * WORD_BYTES)
    }
    return this.bytes(buffer)
  }

  /** A text with the NUL that ends it. */
  text(text: string): bigint {
    return this.bytes(Buffer.from(`${text}\0`))
  }

  /** Pointers to texts, and the null pointer that ends them. */
  texts(texts: readonly string[]): bigint {
    return this.words(...texts.map((text) => this.text(text)), 0n)
  }

  toBuffer(): Buffer {
    return Buffer.concat(this.#parts)
  }
}
