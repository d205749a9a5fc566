import { CHUNK_HASH_BYTES } from '../tree/content-batch.ts'
import { decodeHashDelta, encodeHashDelta } from './hash-delta.ts'
import { badIndex } from '../tree/tree-limits.ts'
import type { DifferencePointer, Manifest, PartPointer } from './manifest.ts'

/** The content hashes of a version's chunks. */
export interface ChunkHashes {
  /** `CHUNK_HASH_BYTES` a chunk, in order of number. */
  readonly hashes: Uint8Array
  /** What later versions are stored as a difference to: these, or what these are a difference to. */
  readonly base: { readonly part: PartPointer; readonly hashes: Uint8Array }
}

/** A difference is stored only if it is at most 1/N of the full size. */
const LEAST_SAVING = 2

/**
 * Reads a version's chunk hashes.
 *
 * @param readPart fetches a part and checks it
 * @throws ContainerError `BAD_INDEX`, and what `readPart` throws
 */
export async function readChunkHashes(
  { chunkHashes, chunks }: Manifest,
  readPart: (part: PartPointer) => Promise<Uint8Array>
): Promise<ChunkHashes> {
  const { base, ...part } = chunkHashes
  if (base === undefined) {
    const hashes = await readPart(part)
    if (hashes.length !== chunks * CHUNK_HASH_BYTES) {
      throw badIndex('it has another number of chunk hashes than of chunks')
    }
    return { hashes, base: { part, hashes } }
  }
  const [delta, baseHashes] = await Promise.all([readPart(part), readPart(base)])
  const hashes = decodeHashDelta(delta, baseHashes, chunks)
  return { hashes, base: { part: base, hashes: baseHashes } }
}

/**
 * What to store of a version's chunk hashes.
 *
 * @returns where they are already; or the content of a new part, and what it is a difference to
 */
export function planChunkHashes(
  hashes: Uint8Array,
  previous: { readonly stored: ChunkHashes; readonly pointer: DifferencePointer } | undefined
): DifferencePointer | { readonly content: Uint8Array; readonly base?: PartPointer } {
  if (previous === undefined) return { content: hashes }
  const { stored, pointer } = previous
  if (Buffer.compare(hashes, stored.hashes) === 0) return pointer
  const delta = encodeHashDelta(hashes, stored.base.hashes)
  if (delta.length * LEAST_SAVING > hashes.length) return { content: hashes }
  return { content: delta, base: stored.base.part }
}
