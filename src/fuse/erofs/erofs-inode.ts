import type { InodeAttributes } from '../../image/tree/tree.ts'
import { MODE_TYPE } from '../../image/tree/mode-type.ts'
import type { InodeLayout } from './erofs-format.ts'

const FORMAT_EXTENDED = 1

export interface InodeFields {
  readonly attributes: InodeAttributes
  readonly layout: InodeLayout
  /** Bytes of the xattr area that follows; 0 for none. */
  readonly xattrBytes: number
  readonly size: number
  readonly linkCount: number
  /** Start block, chunk format or device number, as layout and type want it. */
  readonly payload: number
  /** What 32-bit programs see as inode number. */
  readonly number: number
}

/** Writes an extended inode into `target`, which holds 64 zero bytes. */
export function encodeInode(target: Buffer, fields: InodeFields): void {
  const { attributes } = fields
  target.writeUInt16LE(FORMAT_EXTENDED | (fields.layout << 1), 0)
  target.writeUInt16LE(xattrCount(fields.xattrBytes), 2)
  target.writeUInt16LE(MODE_TYPE[attributes.type] | attributes.mode, 4)
  target.writeBigUInt64LE(BigInt(fields.size), 8)
  target.writeUInt32LE(fields.payload, 16)
  target.writeUInt32LE(fields.number, 20)
  target.writeUInt32LE(attributes.uid, 24)
  target.writeUInt32LE(attributes.gid, 28)
  target.writeBigInt64LE(BigInt(attributes.mtimeSeconds), 32)
  target.writeUInt32LE(attributes.mtimeNanoseconds, 40)
  target.writeUInt32LE(fields.linkCount, 44)
}

/** The area is a header of 12 bytes, counted as one, and units of 4 bytes. */
function xattrCount(xattrBytes: number): number {
  return xattrBytes === 0 ? 0 : (xattrBytes - 12) / 4 + 1
}

/** A device number as Linux packs it in 32 bits: 12 bits of major, 20 of minor (kdev_t.h). */
export function encodeDevice(major: number, minor: number): number {
  return ((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0
}
