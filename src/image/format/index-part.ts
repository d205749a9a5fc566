import { MOST_WINDOW_BYTES } from '../chunk/compression.ts'
import { compressPart, decompressPart, readPartBlocks, type ReadBlock } from './image-part.ts'
import { decodeIndex } from './index-decoder.ts'
import { INDEX_MAGIC, MAX_INDEX_BYTES } from './index-format.ts'
import { badIndex } from '../tree/tree-limits.ts'
import type { ColumnTree } from '../tree/column-tree.ts'
import type { DifferencePointer, Manifest, PartPointer } from './manifest.ts'

/** A version's packed index, as the publisher of the next version reads it. */
export interface StoredIndex {
  readonly packed: Uint8Array
  /** What later versions are stored as a difference to: this, or what this is a difference to. */
  readonly base: { readonly part: PartPointer; readonly packed: Uint8Array }
}

/** A difference is stored only if it is at most 1/N of the full size. */
const LEAST_SAVING = 2
/**
 * Levels of zstd for a difference. zstd searches the last eight bytes of a base for each slot of its tables: 2 MiB
 * at level 4, where level 9 takes four times as long and finds no more. Level 3 has half the slots.
 */
const DIFFERENCE_LEVELS = { small: 4, large: 9 } as const
const MOST_SMALL_BYTES = 2 * 1024 * 1024

/**
 * Reads a version's packed index.
 *
 * @param readBlock asked for all blocks at once, of both parts where there are two
 * @throws ContainerError `BAD_INDEX`, and what `readBlock` throws
 */
export async function readStoredIndex(
  { index }: Pick<Manifest, 'index'>,
  readBlock: ReadBlock
): Promise<StoredIndex> {
  const { base, ...part } = index
  if (Math.max(part.storedBytes, base?.storedBytes ?? 0) > MAX_INDEX_BYTES) {
    throw badIndex('it is larger than allowed')
  }
  if (base === undefined) {
    const packed = decompressPart(await readPartBlocks(part, readBlock), part, MAX_INDEX_BYTES)
    return { packed, base: { part, packed } }
  }
  const [blocks, baseBlocks] = await Promise.all([
    readPartBlocks(part, readBlock),
    readPartBlocks(base, readBlock)
  ])
  const basePacked = decompressPart(baseBlocks, base, MAX_INDEX_BYTES)
  // Anything else might be a dictionary that says more than its content.
  if (!basePacked.subarray(0, INDEX_MAGIC.length).equals(INDEX_MAGIC)) {
    throw badIndex('it differs from something that is no index')
  }
  const packed = decompressPart(blocks, part, MAX_INDEX_BYTES, basePacked)
  return { packed, base: { part: base, packed: basePacked } }
}

/** {@link readStoredIndex}, decoded. */
export async function readTree(
  manifest: Pick<Manifest, 'index'>,
  readBlock: ReadBlock
): Promise<ColumnTree> {
  return decodeIndex((await readStoredIndex(manifest, readBlock)).packed)
}

/**
 * What to store of a version's index.
 *
 * @returns where it is already; or the blocks of a new part, and what it is a difference to
 */
export function planIndex(
  packed: Uint8Array,
  previous: { readonly stored: StoredIndex; readonly pointer: DifferencePointer } | undefined
): DifferencePointer | { readonly blocks: readonly Buffer[]; readonly base?: PartPointer } {
  if (previous === undefined) return { blocks: compressPart(packed) }
  const { stored, pointer } = previous
  if (Buffer.compare(packed, stored.packed) === 0) return pointer
  const { base } = stored
  if (base.packed.length + packed.length > MOST_WINDOW_BYTES) {
    return { blocks: compressPart(packed) }
  }
  const { small, large } = DIFFERENCE_LEVELS
  const level = base.packed.length <= MOST_SMALL_BYTES ? small : large
  const blocks = compressPart(packed, level, base.packed)
  const bytes = blocks.reduce((sum, block) => sum + block.length, 0)
  if (bytes * LEAST_SAVING > base.part.storedBytes) return { blocks: compressPart(packed) }
  return { blocks, base: base.part }
}
