import { CHUNK_HASH_BYTES } from './content-batch.ts'
import { bytesColumn } from './growing-column.ts'

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

  get length(): number {
    return this.#length
  }

  /** @returns the chunk's number, or undefined when the hash is new */
  find(hash: Uint8Array): number | undefined {
    const slot = this.#slots[this.#slotOf(hash)]!
    return slot === 0 ? undefined : slot - 1
  }

  /** Gives a hash the next chunk number. If it had one, the first stays the one that is found. */
  add(hash: Uint8Array): number {
    this.#makeRoom()
    return this.#addAt(this.#slotOf(hash), hash)
  }

  /** @returns the chunk's number: its own, or {@link length} as it was where the hash is new */
  findOrAdd(hash: Uint8Array): number {
    this.#makeRoom()
    const slot = this.#slotOf(hash)
    const known = this.#slots[slot]!
    return known === 0 ? this.#addAt(slot, hash) : known - 1
  }

  /** {@link CHUNK_HASH_BYTES} a chunk. */
  hashes(): Uint8Array {
    return this.#hashes.view()
  }

  #addAt(slot: number, hash: Uint8Array): number {
    this.#hashes.pushAll(hash)
    const number = this.#length++
    if (this.#slots[slot] === 0) this.#slots[slot] = number + 1
    return number
  }

  #makeRoom(): void {
    if ((this.#length + 1) * 2 > this.#slots.length) this.#grow()
  }

  /** The slot that holds the hash, or the free one where it belongs. */
  #slotOf(hash: Uint8Array): number {
    const hashes = this.#hashes.view()
    const mask = this.#slots.length - 1
    let slot = (hash[0]! | (hash[1]! << 8) | (hash[2]! << 16) | (hash[3]! << 24)) & mask
    for (let held = this.#slots[slot]!; held !== 0; held = this.#slots[slot]!) {
      if (isEqualAt(hashes, (held - 1) * CHUNK_HASH_BYTES, hash)) return slot
      slot = (slot + 1) & mask
    }
    return slot
  }

  #grow(): void {
    this.#slots = new Uint32Array(this.#slots.length * 2)
    const hashes = this.#hashes.view()
    for (let number = 0; number < this.#length; number++) {
      const start = number * CHUNK_HASH_BYTES
      const slot = this.#slotOf(hashes.subarray(start, start + CHUNK_HASH_BYTES))
      if (this.#slots[slot] === 0) this.#slots[slot] = number + 1
    }
  }
}

function isEqualAt(hashes: Uint8Array, start: number, hash: Uint8Array): boolean {
  for (let i = 0; i < CHUNK_HASH_BYTES; i++) {
    if (hashes[start + i] !== hash[i]) return false
  }
  return true
}
