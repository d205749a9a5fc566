import { CHUNK_HASH_BYTES } from '../tree/content-batch.ts'
import { PackedReader, PackedWriter } from './packed-bytes.ts'
import { MAX_CHUNKS, badIndex } from '../tree/tree-limits.ts'
import { ChunkHashTable } from './chunk-hash-table.ts'

const STRETCH_BYTES = 256 * CHUNK_HASH_BYTES

/**
 * Chunk hashes as what differs from an earlier version's: hashes do not compress, and most of an
 * update's are those of before. Until its end: how many hashes are taken over from the base (varint)
 * and where they start there (signed, less where the last ones ended), then how many new ones follow
 * (varint) and those hashes.
 */
export function encodeHashDelta(hashes: Uint8Array, base: Uint8Array): Buffer {
  const table = ChunkHashTable.of(base)
  const writer = new PackedWriter()
  const count = hashes.length / CHUNK_HASH_BYTES
  let ended = 0
  for (let next = 0; next < count;) {
    const start = table.find(hashes, next * CHUNK_HASH_BYTES) ?? 0
    const taken = commonHashes(hashes, next, base, start)
    next += taken
    const firstNew = next
    while (next < count && table.find(hashes, next * CHUNK_HASH_BYTES) === undefined) next++
    writer.varint(taken)
    writer.signed(taken === 0 ? 0 : start - ended)
    if (taken > 0) ended = start + taken
    writer.varint(next - firstNew)
    writer.bytes(hashes.subarray(firstNew * CHUNK_HASH_BYTES, next * CHUNK_HASH_BYTES))
  }
  return writer.view()
}

/**
 * @param chunks how many hashes there must be
 * @throws ContainerError `BAD_INDEX`
 */
export function decodeHashDelta(delta: Uint8Array, base: Uint8Array, chunks: number): Uint8Array {
  const reader = new PackedReader(delta)
  // Bounded by the manifest, and by what the bytes at hand can say.
  if (chunks > MAX_CHUNKS) throw badIndex('it has too many chunk hashes')
  const parts: Uint8Array[] = []
  let length = 0
  const add = (part: Uint8Array): void => {
    length += part.length
    if (length > chunks * CHUNK_HASH_BYTES) throw badIndex('it has more hashes than chunks')
    if (part.length > 0) parts.push(part)
  }
  const inBase = Math.floor(base.length / CHUNK_HASH_BYTES)
  let ended = 0
  while (reader.remaining > 0) {
    const taken = reader.varint(inBase)
    const start = ended + reader.signed()
    if (start < 0 || start + taken > inBase)
      throw badIndex('it refers to hashes that are not there')
    if (taken > 0) ended = start + taken
    add(base.subarray(start * CHUNK_HASH_BYTES, (start + taken) * CHUNK_HASH_BYTES))
    add(reader.bytes(reader.varint(chunks) * CHUNK_HASH_BYTES))
  }
  if (length !== chunks * CHUNK_HASH_BYTES) throw badIndex('it has fewer hashes than chunks')
  return new Uint8Array(Buffer.concat(parts, length))
}

/** How many hashes are the same from `a`'s number `n` and `b`'s number `m` on. */
function commonHashes(a: Uint8Array, n: number, b: Uint8Array, m: number): number {
  const most = Math.min(a.length - n * CHUNK_HASH_BYTES, b.length - m * CHUNK_HASH_BYTES)
  const equal = commonBytes(
    a.subarray(n * CHUNK_HASH_BYTES).subarray(0, most),
    b.subarray(m * CHUNK_HASH_BYTES).subarray(0, most)
  )
  return Math.floor(equal / CHUNK_HASH_BYTES)
}

/** Counts equal bytes of two arrays of one length. Compares stretch by stretch, as most of them are equal. */
function commonBytes(a: Uint8Array, b: Uint8Array): number {
  let equal = 0
  const isEqual = (end: number): boolean =>
    Buffer.compare(a.subarray(equal, end), b.subarray(equal, end)) === 0
  while (equal < a.length && isEqual(equal + STRETCH_BYTES)) {
    equal = Math.min(equal + STRETCH_BYTES, a.length)
  }
  while (equal < a.length && a[equal] === b[equal]) equal++
  return equal
}
