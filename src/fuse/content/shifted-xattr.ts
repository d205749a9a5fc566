import type { Xattr } from '../../image/tree/tree.ts'

/** linux/capability.h: version 2 has no owner, version 3 ends with the root that it counts for. */
const CAPABILITY = 'security.capability'
const VERSION_MASK = 0xff00_0000
const VERSION_2 = 0x0200_0000
const VERSION_3 = 0x0300_0000
const VERSION_2_BYTES = 20
const VERSION_3_BYTES = 24

/** linux/posix_acl_xattr.h: a header of 4 bytes, then entries of tag, permissions and id. */
const ACLS = new Set(['system.posix_acl_access', 'system.posix_acl_default'])
const ACL_HEADER_BYTES = 4
const ACL_ENTRY_BYTES = 8
/** Entries that name a user or a group; of the others the id means nothing. */
const ACL_NAMED = new Set([0x02, 0x08])

/**
 * An extended attribute with other ids in it, where it has some.
 *
 * @param root whom file capabilities are to count for as root
 * @returns what is malformed as it is: the kernel refuses it either way
 */
export function shiftXattr(xattr: Xattr, shift: (id: number) => number, root: number): Xattr {
  const name = Buffer.from(xattr.name).toString('latin1')
  if (name === CAPABILITY) return { ...xattr, value: shiftCapability(xattr.value, shift, root) }
  if (ACLS.has(name)) return { ...xattr, value: shiftAcl(xattr.value, shift) }
  return xattr
}

function shiftCapability(
  value: Uint8Array,
  shift: (id: number) => number,
  root: number
): Uint8Array {
  if (value.length < VERSION_2_BYTES) return value
  const shifted = Buffer.alloc(VERSION_3_BYTES)
  shifted.set(value.subarray(0, VERSION_3_BYTES))
  const word = shifted.readUInt32LE(0)
  const version = (word & VERSION_MASK) >>> 0
  if (version === VERSION_2 && value.length === VERSION_2_BYTES) {
    shifted.writeUInt32LE(((word & ~VERSION_MASK) | VERSION_3) >>> 0, 0)
    shifted.writeUInt32LE(root, VERSION_2_BYTES)
    return shifted
  }
  if (version !== VERSION_3 || value.length !== VERSION_3_BYTES) return value
  shifted.writeUInt32LE(shift(shifted.readUInt32LE(VERSION_2_BYTES)), VERSION_2_BYTES)
  return shifted
}

function shiftAcl(value: Uint8Array, shift: (id: number) => number): Uint8Array {
  const shifted = Buffer.from(value)
  for (let at = ACL_HEADER_BYTES; at + ACL_ENTRY_BYTES <= shifted.length; at += ACL_ENTRY_BYTES) {
    if (!ACL_NAMED.has(shifted.readUInt16LE(at))) continue
    shifted.writeUInt32LE(shift(shifted.readUInt32LE(at + 4)), at + 4)
  }
  return shifted
}
