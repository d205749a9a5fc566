import { createHash } from 'node:crypto'
import { deserialize, serialize } from 'node:v8'
import { asBuffer } from './as-buffer.ts'
import { ColumnTree, type DerivedColumns, type TreeColumns } from './column-tree.ts'
import { compressFrame, decompressFrame } from './compression.ts'
import type { FileRecords } from './unchanged-files.ts'

/**
 * What a publisher keeps of its last publish of an image: how to recognise files that have not changed,
 * and the version's tree, so that it need not be decoded. These are facts of one machine and no part of
 * the image.
 *
 * The file: `DCPC`, SHA-256 of the rest, bytes of the unpacked rest in 6 bytes little-endian, one zstd
 * frame of: a {@link Stored} as V8 serializes it.
 */
export interface PublishCache {
  /** Real path of the source. */
  readonly root: Uint8Array
  readonly device: bigint
  /** Of the image. */
  readonly version: number
  /** Of that version's index: another one of the same number is another tree. */
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
const LENGTH_BYTES = 6
const HEADER_BYTES = MAGIC.length + DIGEST_BYTES + LENGTH_BYTES
/** Of some ten million files; more are published without one. */
const MAX_UNPACKED_BYTES = 1024 * 1024 * 1024
const LEVEL = 1

/** Larger files are none that {@link encodePublishCache} made. */
export const MAX_PUBLISH_CACHE_BYTES = MAX_UNPACKED_BYTES

/** @returns undefined for what is too large to be kept */
export function encodePublishCache({ tree, ...facts }: PublishCache): Buffer | undefined {
  const { columns, derived } = tree
  const stored: Stored = { ...facts, format: FORMAT_VERSION, columns, derived }
  const body = serialize(stored)
  if (body.length > MAX_UNPACKED_BYTES) return undefined
  const length = Buffer.alloc(LENGTH_BYTES)
  length.writeUIntLE(body.length, 0, LENGTH_BYTES)
  const rest = Buffer.concat([length, compressFrame(body, LEVEL)])
  return Buffer.concat([MAGIC, digestOf(rest), rest])
}

/** @returns undefined for anything but a whole file that this release's encoder made */
export function decodePublishCache(file: Uint8Array): PublishCache | undefined {
  const bytes = asBuffer(file)
  if (bytes.length < HEADER_BYTES || !bytes.subarray(0, MAGIC.length).equals(MAGIC))
    return undefined
  const rest = bytes.subarray(MAGIC.length + DIGEST_BYTES)
  if (!digestOf(rest).equals(bytes.subarray(MAGIC.length, MAGIC.length + DIGEST_BYTES))) {
    return undefined
  }
  const length = rest.readUIntLE(0, LENGTH_BYTES)
  if (length > MAX_UNPACKED_BYTES) return undefined
  const stored = readStored(decompressFrame(rest.subarray(LENGTH_BYTES), length))
  if (stored?.format !== FORMAT_VERSION) return undefined
  const { format: _known, columns, derived, ...facts } = stored
  return { ...facts, tree: new ColumnTree(columns, derived) }
}

/** The bytes are what was written; another release, or another V8, may have written something else. */
function readStored(body: Buffer): Stored | undefined {
  try {
    return deserialize(body) as Stored
  } catch {
    return undefined
  }
}

function digestOf(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest()
}
