import { createHash } from 'node:crypto'
import { asBuffer } from '../../core/as-buffer.ts'
import { ColumnTree, type DerivedColumns, type TreeColumns } from '../tree/column-tree.ts'
import { compressedClone, readCompressedClone } from '../chunk/compressed-clone.ts'
import type { FileRecords } from '../source/unchanged-files.ts'

/**
 * What a publisher keeps of its last publish of an image: how to recognise files that have not changed,
 * and the version's tree, so that it need not be decoded. These are facts of one machine and no part of
 * the image.
 *
 * The file: `DCPC`, SHA-256 of the rest, a {@link Stored} as `compressed-clone.ts` writes it.
 */
export interface PublishCache {
  /** Real path of the source. */
  readonly root: Uint8Array
  readonly device: bigint
  /** The image's newest version. */
  readonly version: number
  /** Digest of that version's index: another index under the same number is another tree. */
  readonly indexDigest: string
  readonly records: FileRecords
  readonly tree: ColumnTree
}

interface Stored extends Omit<PublishCache, 'tree'> {
  readonly format: number
  readonly columns: TreeColumns
  readonly derived: DerivedColumns
}

const MAGIC = Buffer.from('DCPC')
const FORMAT_VERSION = 2
const DIGEST_BYTES = 32
const HEADER_BYTES = MAGIC.length + DIGEST_BYTES
/** Some ten million files; of more, nothing is recognised. */
const MAX_UNPACKED_BYTES = 2 * 1024 * 1024 * 1024

/** Larger files are not read. */
export const MAX_PUBLISH_CACHE_BYTES = 1024 * 1024 * 1024

export function encodePublishCache({ tree, ...facts }: PublishCache): Buffer {
  const { columns, derived } = tree
  const stored: Stored = { ...facts, format: FORMAT_VERSION, columns, derived }
  const rest = compressedClone(stored)
  return Buffer.concat([MAGIC, digestOf(rest), rest])
}

/** @returns undefined for anything but a whole file that this release's encoder made */
export function decodePublishCache(file: Uint8Array): PublishCache | undefined {
  const bytes = asBuffer(file)
  if (bytes.length < HEADER_BYTES || !bytes.subarray(0, MAGIC.length).equals(MAGIC))
    return undefined
  const rest = bytes.subarray(HEADER_BYTES)
  if (!digestOf(rest).equals(bytes.subarray(MAGIC.length, HEADER_BYTES))) {
    return undefined
  }
  const stored = readStored(rest)
  if (stored?.format !== FORMAT_VERSION) return undefined
  const { format: _known, columns, derived, ...facts } = stored
  return { ...facts, tree: new ColumnTree(columns, derived) }
}

/** The bytes are what was written; another release, or another V8, may have written something else. */
function readStored(body: Buffer): Stored | undefined {
  try {
    return readCompressedClone(body, MAX_UNPACKED_BYTES) as Stored
  } catch {
    return undefined
  }
}

function digestOf(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest()
}
