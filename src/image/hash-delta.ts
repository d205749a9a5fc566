import { CHUNK_HASH_BYTES } from './content-batch.ts'
import { PackedReader, PackedWriter } from './packed-bytes.ts'
import { MAX_CHUNKS, badIndex } from './tree-limits.ts'
import { ChunkHashTable } from './chunk-hash-table.ts'

/**
 * Chunk hashes as what differs from an earlier version's: hashes do not compress, and most of an
 * update's are those of before. Until its end: how many hashes are taken over from the base (varint)
 * and where they start there (signed, less where the last ones ended), then how many new ones follow
 * (varint) and those hashes.
 */
export function encodeHashDelta(hashes: Uint8Array, base: Uint8Array): Buffer {
  const table = new ChunkHashTable()
  for (let n = 0; n < base.length / CHUNK_HASH_BYTES; n++) table.add(hashAt(base, n))
  const writer = new PackedWriter()
  const count = hashes.length / CHUNK_HASH_BYTES
  let ended = 0
  for (let next = 0; next < count;) {
    const start = table.find(hashAt(hashes, next)) ?? 0
    let taken = 0
    while (next + taken < count && isEqual(hashes, next + taken, base, start + taken)) taken++
    next += taken
    const firstNew = next
    while (next < count && table.find(hashAt(hashes, next)) === undefined) next++
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

function hashAt(hashes: Uint8Array, n: number): Uint8Array {
  return hashes.subarray(n * CHUNK_HASH_BYTES, (n + 1) * CHUNK_HASH_BYTES)
}

function isEqual(a: Uint8Array, n: number, b: Uint8Array, m: number): boolean {
  const other = hashAt(b, m)
  return other.length === CHUNK_HASH_BYTES && Buffer.compare(hashAt(a, n), other) === 0
}
