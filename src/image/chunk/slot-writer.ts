import { writeSync } from 'node:fs'
import { BlockPacker } from './block-packer.ts'
import { compressChunkBehind, MOST_STORED_BYTES } from './compression.ts'
import type { ExchangeLayout } from './block-sink.ts'
import type { StoredLength } from './compression.ts'

/** Compresses chunks into blocks, one behind the other with their room, and writes them to a slot of an exchange. */
export class SlotWriter {
  readonly #layout: ExchangeLayout
  readonly #file: number
  readonly #bytes: Uint8Array
  #used = 0
  #packer = new BlockPacker()

  /** @param file descriptor of the exchange; stays the caller's */
  constructor(layout: ExchangeLayout, file: number) {
    this.#layout = layout
    this.#file = file
    this.#bytes = new Uint8Array(layout.slotBytes + layout.room + MOST_STORED_BYTES)
  }

  compress(chunk: Uint8Array): StoredLength {
    const { room, slotBytes } = this.#layout
    const start = this.#used
    // Whether it begins a block is known when its length is.
    const stored = compressChunkBehind(this.#bytes, start, chunk)
    const { storedBytes } = stored
    const { offset } = this.#packer.add(storedBytes)
    if (offset === 0) this.#bytes.copyWithin(start + room, start, start + storedBytes)
    this.#used = start + (offset === 0 ? room : 0) + storedBytes
    if (this.#used > slotBytes) throw new RangeError(`${this.#used} bytes for a slot`)
    return stored
  }

  /** Writes what was compressed since the last call. */
  write(slot: number): void {
    const start = slot * this.#layout.slotBytes
    let written = 0
    while (written < this.#used) {
      written += writeSync(this.#file, this.#bytes, written, this.#used - written, start + written)
    }
    this.#used = 0
    this.#packer = new BlockPacker()
  }
}
