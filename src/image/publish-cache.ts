import { createHash } from 'node:crypto'
import { asBuffer } from './as-buffer.ts'
import { compressFrame, decompressFrame } from './compression.ts'
import { isContainerError } from './errors.ts'
import { PackedReader, PackedWriter } from './packed-bytes.ts'
import { MAX_INODES } from './tree-limits.ts'
import type { FileRecords } from './unchanged-files.ts'

/**
 * What a publisher keeps of its last publish of an image, to recognise files that have not changed.
 * These are facts of one machine and no part of the image.
 *
 * The file: `DCPC`, SHA-256 of the rest, bytes of the unpacked rest in 6 bytes little-endian, one zstd
 * frame of: varint version of this format, length and bytes of root, device, version and digest as
 * text; varint count; inodes, inode numbers and ctimes as the machine's arrays of 4, 8 and 8 bytes.
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
}

const MAGIC = Buffer.from('DCPC')
const FORMAT_VERSION = 1
const DIGEST_BYTES = 32
const LENGTH_BYTES = 6
const HEADER_BYTES = MAGIC.length + DIGEST_BYTES + LENGTH_BYTES
const ROW_BYTES = 4 + 8 + 8
const MAX_TEXT_BYTES = 8192
const MAX_UNPACKED_BYTES = MAX_INODES * ROW_BYTES + 4 * MAX_TEXT_BYTES
const LEVEL = 1

/** Larger files are none that {@link encodePublishCache} made. */
export const MAX_PUBLISH_CACHE_BYTES = MAX_UNPACKED_BYTES

export function encodePublishCache(cache: PublishCache): Buffer {
  const { inode, number, ctimeNs } = cache.records
  const body = new PackedWriter()
  body.varint(FORMAT_VERSION)
  body.block(cache.root)
  for (const text of [cache.device.toString(), String(cache.version), cache.indexDigest]) {
    body.block(Buffer.from(text))
  }
  body.varint(inode.length)
  for (const column of [inode, number, ctimeNs]) body.bytes(bytesOf(column))
  const length = Buffer.alloc(LENGTH_BYTES)
  length.writeUIntLE(body.length, 0, LENGTH_BYTES)
  const rest = Buffer.concat([length, compressFrame(body.view(), LEVEL)])
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
  try {
    return decodeBody(decompressFrame(rest.subarray(LENGTH_BYTES), length))
  } catch (error) {
    if (isContainerError(error) || error instanceof SyntaxError) return undefined
    throw error
  }
}

function decodeBody(body: Buffer): PublishCache | undefined {
  const reader = new PackedReader(body)
  if (reader.varint(Number.MAX_SAFE_INTEGER) !== FORMAT_VERSION) return undefined
  const text = (): string => Buffer.from(reader.block(MAX_TEXT_BYTES)).toString()
  const root = Buffer.from(reader.block(MAX_TEXT_BYTES))
  const device = BigInt(text())
  const version = Number(text())
  const indexDigest = text()
  const count = reader.varint(MAX_INODES)
  const column = (bytesEach: number): ArrayBuffer =>
    new Uint8Array(reader.bytes(count * bytesEach)).buffer
  const records = {
    inode: new Uint32Array(column(4)),
    number: new BigUint64Array(column(8)),
    ctimeNs: new BigInt64Array(column(8))
  }
  reader.end()
  return { root, device, version, indexDigest, records }
}

/** In the machine's byte order: the file never leaves it. */
function bytesOf(column: Uint32Array | BigUint64Array | BigInt64Array): Uint8Array {
  return new Uint8Array(column.buffer, column.byteOffset, column.byteLength)
}

function digestOf(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest()
}
