import { CHUNK_HASH_BYTES } from '../tree/content-batch.ts'
import { bytesColumn } from '../../core/growing-column.ts'

/** Slots are kept at most half full, so that probing stays short. */
const MIN_SLOTS = 1024

/**
 * Chunk numbers by content hash. Open addressing over typed arrays: about 32 bytes a chunk, where a
 * Map of strings takes well over a hundred.
 */
export class ChunkHashTable {
  /** All hashes, in order of chunk number. */
  readonly #hashes = bytesColumn()
  /** Chunk number plus one; 0 is free. */
  #slots = new Uint32Array(MIN_SLOTS)
  #length = 0

  /** @param hashes {@link CHUNK_HASH_BYTES} a chunk; of equal ones, the first is found */
  static of(hashes: Uint8Array): ChunkHashTable {
    const table = new ChunkHashTable()
    const count = hashes.length / CHUNK_HASH_BYTES
    table.#hashes.pushAll(hashes)
    table.#length = count
    table.#slots = new Uint32Array(slotsFor(count))
    for (let number = 0; number < count; number++) table.#hold(number)
    return table
  }

  get length(): number {
    return this.#length
  }

  /** @returns the number of the chunk whose hash is at `bytes[start]`, or undefined when it is new */
  find(bytes: Uint8Array, start = 0): number | undefined {
    const slot = this.#slots[this.#slotOf(bytes, start)]!
    return slot === 0 ? undefined : slot - 1
  }

  /** @returns the chunk's number: its own, or {@link length} as it was where the hash is new */
  findOrAdd(hash: Uint8Array): number {
    if (2 * (this.#length + 1) > this.#slots.length) this.#grow()
    const slot = this.#slotOf(hash, 0)
    const known = this.#slots[slot]!
    if (known !== 0) return known - 1
    this.#slots[slot] = this.#length + 1
    return this.addUnfound(hash)
  }

  /** Assigns the next chunk number to a hash. The caller stores the number; the table does not find it. */
  addUnfound(bytes: Uint8Array, start = 0): number {
    this.#hashes.pushRange(bytes, start, start + CHUNK_HASH_BYTES)
    return this.#length++
  }

  /** {@link CHUNK_HASH_BYTES} a chunk. */
  hashes(): Uint8Array {
    return this.#hashes.view()
  }

  /** The slot of the hash at `bytes[start]`, or the free one where it belongs. */
  #slotOf(bytes: Uint8Array, start: number): number {
    const hashes = this.#hashes.values
    const mask = this.#slots.length - 1
    let slot = firstSlot(bytes, start) & mask
    for (let held = this.#slots[slot]!; held !== 0; held = this.#slots[slot]!) {
      if (areEqual(hashes, (held - 1) * CHUNK_HASH_BYTES, bytes, start)) return slot
      slot = (slot + 1) & mask
    }
    return slot
  }

  #hold(number: number): void {
    const slot = this.#slotOf(this.#hashes.values, number * CHUNK_HASH_BYTES)
    if (this.#slots[slot] === 0) this.#slots[slot] = number + 1
  }

  #grow(): void {
    const held = this.#slots
    this.#slots = new Uint32Array(slotsFor(this.#length + 1))
    for (const one of held) if (one !== 0) this.#hold(one - 1)
  }
}

function slotsFor(chunks: number): number {
  return Math.max(MIN_SLOTS, 2 ** Math.ceil(Math.log2(2 * chunks)))
}

function firstSlot(bytes: Uint8Array, start: number): number {
  return (
    bytes[start]! | (bytes[start + 1]! << 8) | (bytes[start + 2]! << 16) | (bytes[start + 3]! << 24)
  )
}

function areEqual(a: Uint8Array, aStart: number, b: Uint8Array, bStart: number): boolean {
  for (let i = 0; i < CHUNK_HASH_BYTES; i++) {
    if (a[aStart + i] !== b[bStart + i]) return false
  }
  return true
}
