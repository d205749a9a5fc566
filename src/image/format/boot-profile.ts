import { PackedReader, PackedWriter } from './packed-bytes.ts'
import { badIndex } from '../tree/tree-limits.ts'

/** What a start read of an image, in the order in which it was first touched. */
export interface BootProfile {
  /** Chunk numbers, each once. */
  readonly chunks: readonly number[]
  /** How many of them had been touched when the container was ready. */
  readonly ready: number
}

/** 6 GB of distinct content: what comes after that many chunks is no start any more. */
export const MAX_PROFILE_CHUNKS = 100_000
/** A run takes at most ten bytes, and there are no more runs than chunks. */
export const MAX_PROFILE_BYTES = 10 * MAX_PROFILE_CHUNKS + 64

const PROFILE_MAGIC = Buffer.from('DCPF')
const PROFILE_VERSION = 1

/** Packs a profile as runs of consecutive chunk numbers. Format: `docs/image-format.md`. */
export function encodeProfile({ chunks, ready }: BootProfile): Buffer {
  const runs = chunkRuns(chunks)
  const packed = new PackedWriter()
  packed.bytes(PROFILE_MAGIC)
  for (const number of [PROFILE_VERSION, chunks.length, ready, runs.length]) packed.varint(number)
  let next = 0
  for (const [first, count] of runs) {
    packed.signed(first - next)
    packed.varint(count)
    next = first + count
  }
  return packed.view()
}

/**
 * Unpacks a profile that may come from anyone.
 *
 * @param chunkCount chunks of the image that it is of
 * @throws ContainerError `BAD_INDEX` for one that is damaged, too large or of another image
 */
export function decodeProfile(packed: Uint8Array, chunkCount: number): BootProfile {
  const reader = new PackedReader(packed)
  if (!PROFILE_MAGIC.equals(reader.bytes(PROFILE_MAGIC.length)))
    throw badIndex('it is not a profile')
  reader.varint(PROFILE_VERSION)
  const length = reader.varint(Math.min(chunkCount, MAX_PROFILE_CHUNKS))
  const ready = reader.varint(length)
  const chunks: number[] = []
  const seen = new Set<number>()
  let next = 0
  for (let left = reader.varint(length); left > 0; left--) {
    const first = next + reader.signed()
    next = first + reader.varint(length - chunks.length)
    if (first < 0 || next > chunkCount || next === first) throw badIndex('a run has no chunks')
    for (let chunk = first; chunk < next; chunk++) chunks.push(chunk)
  }
  reader.end()
  for (const chunk of chunks) seen.add(chunk)
  if (chunks.length !== length || seen.size !== length) throw badIndex('its chunks do not add up')
  return { chunks, ready }
}

/** Consecutive numbers as `[first, count]`, in the order given. */
export function chunkRuns(chunks: Iterable<number>): [number, number][] {
  const runs: [number, number][] = []
  for (const chunk of chunks) {
    const last = runs.at(-1)
    if (last !== undefined && chunk === last[0] + last[1]) last[1]++
    else runs.push([chunk, 1])
  }
  return runs
}
