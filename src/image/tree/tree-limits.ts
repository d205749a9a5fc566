import { CHUNK_BYTES, FILE_TYPES } from './tree.ts'
import { ContainerError } from '../../core/errors.ts'
import type { InodeAttributes, Xattr } from './tree.ts'

/**
 * Bounds of what a tree may hold. They are Linux's own limits where Linux has one, and otherwise
 * chosen so that a hostile index cannot make a reader allocate without end.
 */
export const MAX_INODES = 16 * 1024 * 1024
export const MAX_ENTRIES = 32 * 1024 * 1024
/** 4 TiB of distinct content. */
export const MAX_CHUNKS = 64 * 1024 * 1024
export const MAX_EXTENTS = 64 * 1024 * 1024
/** Chunk positions that hold data, over all files: 16 TiB, what EROFS can address in 4 KiB blocks. */
export const MAX_DATA_CHUNKS = 256 * 1024 * 1024
export const MAX_NAME_BYTES = 255
/** PATH_MAX without its NUL. */
export const MAX_SYMLINK_BYTES = 4095
/** All names, and all symlink targets, of one tree. */
export const MAX_POOL_BYTES = 512 * 1024 * 1024
/** A deeper directory has no path that fits PATH_MAX. */
export const MAX_DEPTH = 2048
export const MAX_XATTR_NAME_BYTES = 255
export const MAX_XATTR_VALUE_BYTES = 64 * 1024
/** XATTR_LIST_MAX: the names of one inode's attributes, each with its NUL. */
export const MAX_XATTR_LIST_BYTES = 64 * 1024
/** (uid_t) -1 means "leave as it is" to chown, so it is no owner. */
export const MAX_ID = 0xffff_fffe
/** Linux splits its 32-bit device number in 12 and 20 bits. */
export const MAX_DEVICE_MAJOR = 0xfff
export const MAX_DEVICE_MINOR = 0xf_ffff

/** 70 million years either way; beyond it a difference of two times would not fit 53 bits. */
const MAX_SECONDS = 2 ** 51
const NANOSECONDS = 1_000_000_000
const SLASH = 0x2f
const DOT = 0x2e

/** The error of every check in this folder: the index is damaged or was made to harm. */
export function badIndex(message: string, cause?: unknown): ContainerError {
  return new ContainerError('BAD_INDEX', `bad image index: ${message}`, {
    hint: 'the image is damaged or hostile; ask its publisher to share it again',
    ...(cause === undefined ? {} : { cause })
  })
}

/** How many chunk positions a file of `size` bytes has. */
export function chunkCount(size: number): number {
  return Math.ceil(size / CHUNK_BYTES)
}

function isCount(value: number, limit: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= limit
}

/** @throws ContainerError `BAD_INDEX` when a field is out of Linux's range */
export function checkAttributes(attributes: InodeAttributes): void {
  const { type, mode, uid, gid, deviceMajor, deviceMinor } = attributes
  if (!FILE_TYPES.includes(type)) throw badIndex(`unknown file type ${type as string}`)
  if (!isCount(mode, 0o7777)) throw badIndex(`mode ${mode} is out of range`)
  if (!isCount(uid, MAX_ID) || !isCount(gid, MAX_ID)) {
    throw badIndex(`owner ${uid}:${gid} is out of range`)
  }
  checkTime(attributes.mtimeSeconds, attributes.mtimeNanoseconds)
  checkDevice(type === 'character' || type === 'block', deviceMajor, deviceMinor)
}

/** Whether a tree can hold a time of so many seconds since 1970. */
export function isTime(seconds: number): boolean {
  return isCount(Math.abs(seconds), MAX_SECONDS)
}

export function checkTime(seconds: number, nanoseconds: number): void {
  if (!isTime(seconds) || !isCount(nanoseconds, NANOSECONDS - 1)) {
    throw badIndex(`time ${seconds}s ${nanoseconds}ns is out of range`)
  }
}

export function checkDevice(isDevice: boolean, major: number, minor: number): void {
  const fits = isDevice
    ? isCount(major, MAX_DEVICE_MAJOR) && isCount(minor, MAX_DEVICE_MINOR)
    : major === 0 && minor === 0
  if (!fits) throw badIndex(`device number ${major}:${minor} is out of range`)
}

/** Checks one directory entry's name, `bytes[start, end)`. */
export function checkName(bytes: Uint8Array, start: number, end: number): void {
  const length = end - start
  if (length < 1 || length > MAX_NAME_BYTES) throw badIndex(`a name of ${length} bytes`)
  for (let i = start; i < end; i++) {
    const byte = bytes[i]
    if (byte === 0 || byte === SLASH) throw badIndex('a name contains "/" or NUL')
  }
  if (bytes[start] === DOT && (length === 1 || (length === 2 && bytes[start + 1] === DOT))) {
    throw badIndex('an entry is named "." or ".."')
  }
}

/** Checks one symlink target, `bytes[start, end)`. Where it points is the reader's business. */
export function checkTarget(bytes: Uint8Array, start: number, end: number): void {
  const length = end - start
  if (length < 1 || length > MAX_SYMLINK_BYTES) throw badIndex(`a symlink of ${length} bytes`)
  const nul = bytes.indexOf(0, start)
  if (nul !== -1 && nul < end) throw badIndex('a symlink target contains NUL')
}

/** Checks the attributes of one inode, which must be sorted by name. */
export function checkXattrs(xattrs: readonly Xattr[]): void {
  let listBytes = 0
  let previous: Uint8Array | undefined
  for (const { name, value } of xattrs) {
    if (name.length < 1 || name.length > MAX_XATTR_NAME_BYTES || name.includes(0)) {
      throw badIndex('an extended attribute has a bad name')
    }
    if (value.length > MAX_XATTR_VALUE_BYTES) throw badIndex('an extended attribute is too long')
    if (previous !== undefined && Buffer.compare(previous, name) >= 0) {
      throw badIndex('extended attributes are unsorted or repeated')
    }
    previous = name
    listBytes += name.length + 1
  }
  if (listBytes > MAX_XATTR_LIST_BYTES) throw badIndex('an inode has too many extended attributes')
}
