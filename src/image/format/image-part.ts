import { createHash } from 'node:crypto'
import { compressFrame, decompressFrame } from '../chunk/compression.ts'
import { badIndex } from '../tree/tree-limits.ts'
import type { PartPointer } from './manifest.ts'

/** Bytes of one block of a part; the last may be shorter. */
const PART_BLOCK_BYTES = 64 * 1024
/** A part is written once and read by everyone, on the way to the first read. */
const SMALL_PART_LEVEL = 15
/** Beyond this size it takes ten times as long as the other, and more memory, for a hundredth less. */
const SMALL_PART_BYTES = 1024 * 1024
const LARGE_PART_LEVEL = 9

/**
 * One zstd frame of `bytes`, cut into blocks of 64 KiB. Synchronous.
 *
 * @param level of zstd. @default a high one, lower for parts so large that it would take long
 * @param base of `compressFrame`
 */
export function compressPart(
  bytes: Uint8Array,
  level = bytes.length <= SMALL_PART_BYTES ? SMALL_PART_LEVEL : LARGE_PART_LEVEL,
  base?: Uint8Array
): Buffer[] {
  const frame = compressFrame(bytes, level, base)
  const blocks: Buffer[] = []
  for (let start = 0; start < frame.length; start += PART_BLOCK_BYTES) {
    blocks.push(frame.subarray(start, start + PART_BLOCK_BYTES))
  }
  return blocks
}

/**
 * @param blocks of {@link compressPart}
 * @param block index of the first in the blobs core
 * @param bytes before compression
 */
export function pointerTo(
  blocks: readonly Uint8Array[],
  block: number,
  bytes: number
): PartPointer {
  return {
    block,
    blocks: blocks.length,
    storedBytes: storedLength(blocks),
    bytes,
    digest: digestOf(blocks)
  }
}

/** Whether a pointer leads to a part that is equal, byte for byte. */
export function isPart(
  pointer: PartPointer,
  blocks: readonly Uint8Array[],
  bytes: number
): boolean {
  return pointer.bytes === bytes && pointer.digest === digestOf(blocks)
}

/** Reads a stored block by its index in the blobs core. */
export type ReadBlock = (block: number) => Promise<Uint8Array>

/** The blocks of a part, all asked for at once: one round trip. */
export function readPartBlocks(
  { block, blocks }: Pick<PartPointer, 'block' | 'blocks'>,
  readBlock: ReadBlock
): Promise<Uint8Array[]> {
  return Promise.all(Array.from({ length: blocks }, (_, n) => readBlock(block + n)))
}

/**
 * Puts a part together again and checks it against its pointer.
 *
 * @param limitBytes the most that is worth allocating for this part
 * @param base content of the part that this one was compressed with
 * @throws ContainerError `BAD_INDEX` when digest, sizes or frame do not fit
 */
export function decompressPart(
  blocks: readonly Uint8Array[],
  pointer: PartPointer,
  limitBytes: number,
  base?: Uint8Array
): Buffer {
  if (pointer.bytes > limitBytes) throw badIndex(`a part of ${pointer.bytes} bytes is too large`)
  if (blocks.length !== pointer.blocks || storedLength(blocks) !== pointer.storedBytes) {
    throw badIndex('a part has another size than the manifest says')
  }
  if (digestOf(blocks) !== pointer.digest) throw badIndex('a part does not match its digest')
  try {
    return decompressFrame(Buffer.concat(blocks), pointer.bytes, base)
  } catch (error) {
    throw badIndex('a part does not decompress', error)
  }
}

function storedLength(blocks: readonly Uint8Array[]): number {
  return blocks.reduce((sum, block) => sum + block.length, 0)
}

function digestOf(blocks: readonly Uint8Array[]): string {
  const hash = createHash('sha256')
  for (const block of blocks) hash.update(block)
  return `sha256:${hash.digest('hex')}`
}
