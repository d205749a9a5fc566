/**
 * The EROFS on-disk format, as far as this project writes it. Source: fs/erofs/erofs_fs.h of Linux
 * and the format documentation in Documentation/filesystems/erofs.rst. All numbers little-endian.
 */
import type { FileType } from '../../image/tree/tree.ts'

export { BLOCK_BYTES } from '../content/data-layout.ts'

export const BLOCK_BITS = 12
/** An inode's number ("nid") is its byte offset from the metadata area in units of a slot. */
export const SLOT_BYTES = 32
/** The extended form: 64-bit sizes and times, 32-bit owners and link counts. */
export const INODE_BYTES = 64
export const DIRENT_BYTES = 12
export const XATTR_HEADER_BYTES = 12
export const XATTR_ENTRY_BYTES = 4
export const CHUNK_INDEX_BYTES = 8
/** Start block of a hole. */
export const NULL_BLOCK = 0xffffffff
/** Block addresses are 32 bits wide, and the last one means a hole. */
export const MAX_BLOCKS = 0xffffffff

export const DATA_LAYOUT = { flatPlain: 0, flatInline: 2, chunkBased: 4 } as const
export type InodeLayout = (typeof DATA_LAYOUT)[keyof typeof DATA_LAYOUT]

/** Directory entries carry the type of what they name. */
export const DIRENT_TYPE: Record<FileType, number> = {
  file: 1,
  directory: 2,
  character: 3,
  block: 4,
  fifo: 5,
  socket: 6,
  symlink: 7
}

/** `value` up to the next multiple of `unit`. */
export function alignUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit
}
