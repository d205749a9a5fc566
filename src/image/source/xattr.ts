import { constants } from 'node:os'
import { ContainerError } from '../../core/errors.ts'
import { errno, loadLibC, pathText } from '../../core/host/libc.ts'
import { MAX_XATTR_LIST_BYTES, MAX_XATTR_VALUE_BYTES } from '../tree/tree-limits.ts'
import type { Xattr } from '../tree/tree.ts'

const NUL = Buffer.alloc(1)
/** A set that changes between two calls is asked for again; one that never rests is an error. */
const ATTEMPTS = 5
// Scratch of the kernel's own limits: no attribute is longer, so no call is made just for a size.
const listBytes = Buffer.allocUnsafeSlow(MAX_XATTR_LIST_BYTES)
const valueBytes = Buffer.allocUnsafeSlow(MAX_XATTR_VALUE_BYTES)

/**
 * Extended attributes of a path, symlinks not followed. None where the filesystem has none.
 *
 * @throws ContainerError `IO`, or `SOURCE_CHANGED` when the path vanished
 */
export function readXattrs(path: Uint8Array): Xattr[] {
  return readXattrsAt(Buffer.concat([path, NUL]))
}

/** {@link readXattrs} of a path that ends with NUL. None where this is not Linux: other systems' mean other things. */
export function readXattrsAt(cPath: Buffer): Xattr[] {
  if (process.platform !== 'linux') return []
  const libc = loadLibC()
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    // Most have none, and asking for the length alone spares the kernel a cleared buffer each time.
    let length = libc.llistxattrLength(cPath, null, 0)
    if (length > 0) length = libc.llistxattr(cPath, listBytes, listBytes.length)
    if (length === 0) return []
    if (length < 0) {
      if (errno() === constants.errno.EOPNOTSUPP) return []
      throw xattrError(cPath)
    }
    const xattrs = readValues(cPath, Buffer.from(listBytes.subarray(0, length)))
    if (xattrs !== undefined) return xattrs
  }
  throw new ContainerError('SOURCE_CHANGED', `attributes keep changing: ${pathText(cPath)}`)
}

/** @returns undefined when an attribute of the list is gone */
function readValues(cPath: Buffer, list: Buffer): Xattr[] | undefined {
  const xattrs: Xattr[] = []
  let start = 0
  while (start < list.length) {
    const end = list.indexOf(0, start)
    const cName = list.subarray(start, end + 1)
    const length = loadLibC().lgetxattr(cPath, cName, valueBytes, valueBytes.length)
    if (length < 0) {
      if (errno() === constants.errno.ENODATA) return undefined
      // Listed, but not for this process to read: some security modules do that.
      if (errno() !== constants.errno.EOPNOTSUPP) throw xattrError(cPath)
    } else {
      const value = Buffer.from(valueBytes.subarray(0, length))
      xattrs.push({ name: list.subarray(start, end), value })
    }
    start = end + 1
  }
  return xattrs
}

function xattrError(cPath: Buffer): ContainerError {
  const code = errno()
  const text = pathText(cPath)
  if (code === constants.errno.ENOENT) {
    return new ContainerError('SOURCE_CHANGED', `vanished while it was read: ${text}`)
  }
  return new ContainerError('IO', `cannot read extended attributes (error ${code}): ${text}`)
}
