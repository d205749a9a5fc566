import { CHUNK_BYTES } from '../tree/tree.ts'

/**
 * Stored bytes of a block, at most. Most files of a system are small, and a block by itself costs a
 * publisher, a peer and a reader some half a millisecond each, whatever its size.
 */
export const MAX_BLOCK_BYTES = CHUNK_BYTES

/** Where a stored chunk lies among blocks that are appended together. */
export interface PackedPlace {
  /** Number of its block, from 0. */
  readonly block: number
  /** First byte in that block. */
  readonly offset: number
}

/** Lays stored chunks into blocks, one behind the other, in the order in which they come. */
export class BlockPacker {
  /** Length of each block, in bytes. */
  readonly lengths: number[] = []

  /** @param storedBytes at most {@link MAX_BLOCK_BYTES} */
  add(storedBytes: number): PackedPlace {
    const last = this.lengths.length - 1
    const used = this.lengths[last]
    if (used === undefined || used + storedBytes > MAX_BLOCK_BYTES) {
      this.lengths.push(storedBytes)
      return { block: last + 1, offset: 0 }
    }
    this.lengths[last] = used + storedBytes
    return { block: last, offset: used }
  }
}
