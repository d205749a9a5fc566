/**
 * POSIX ACLs in their two forms: text, as archives carry them, and the value of the extended
 * attributes `system.posix_acl_access` and `system.posix_acl_default`, as Linux keeps them.
 *
 * @see acl(5); linux/posix_acl_xattr.h
 */
import { asBuffer } from '../../core/as-buffer.ts'

interface AclEntry {
  readonly tag: number
  readonly permissions: number
  readonly id: number
}

const XATTR_VERSION = 2
const HEADER_BYTES = 4
const ENTRY_BYTES = 8
const UNDEFINED_ID = 0xffff_ffff
const USER_OBJECT = 0x01
const GROUP_OBJECT = 0x04
const MASK = 0x10
const OTHER = 0x20
const TAGS: Readonly<Record<string, number>> = {
  user: USER_OBJECT,
  group: GROUP_OBJECT,
  mask: MASK,
  other: OTHER
}
const NAMES: ReadonlyMap<number, string> = new Map([
  [USER_OBJECT, 'user'],
  [USER_OBJECT << 1, 'user'],
  [GROUP_OBJECT, 'group'],
  [GROUP_OBJECT << 1, 'group'],
  [MASK, 'mask'],
  [OTHER, 'other']
])
const BASE_ENTRIES = 3

/**
 * The attribute's value for an ACL as text: `user::rw-,user:1000:r--,…`, split by commas or lines.
 *
 * @returns undefined for one that names owners without their numbers, or does not parse
 */
export function encodeAcl(text: string): Buffer | undefined {
  const entries: AclEntry[] = []
  for (const line of text.split(/[\n,]/)) {
    const plain = line.replace(/#.*/, '').trim()
    if (plain === '') continue
    const entry = parseEntry(plain)
    if (entry === undefined) return undefined
    entries.push(entry)
  }
  entries.sort((a, b) => a.tag - b.tag || a.id - b.id)
  const value = Buffer.alloc(HEADER_BYTES + entries.length * ENTRY_BYTES)
  value.writeUInt32LE(XATTR_VERSION)
  entries.forEach(({ tag, permissions, id }, i) => {
    const offset = HEADER_BYTES + i * ENTRY_BYTES
    value.writeUInt16LE(tag, offset)
    value.writeUInt16LE(permissions, offset + 2)
    value.writeUInt32LE(id, offset + 4)
  })
  return value
}

/** Whether an access ACL says no more than the mode does: Linux keeps no attribute for it. */
export function isMinimalAcl(value: Uint8Array): boolean {
  return value.length <= HEADER_BYTES + BASE_ENTRIES * ENTRY_BYTES
}

/**
 * The permission bits that Linux shows where an access ACL is set: those of the owner, the mask (of
 * the group where there is none) and all others.
 *
 * @returns undefined where the value is no ACL
 */
export function aclPermissions(value: Uint8Array): number | undefined {
  const entries = parseValue(value)
  const bits = (tag: number): number | undefined =>
    entries?.find((entry) => entry.tag === tag)?.permissions
  const user = bits(USER_OBJECT)
  const group = bits(MASK) ?? bits(GROUP_OBJECT)
  const other = bits(OTHER)
  if (user === undefined || group === undefined || other === undefined) return undefined
  return (user << 6) | (group << 3) | other
}

/** The text of an attribute's value, with numbers for owners, or undefined where it is no ACL. */
export function decodeAcl(value: Uint8Array): string | undefined {
  const lines = parseValue(value)?.map(({ tag, permissions, id }) => {
    const isNamed = tag === USER_OBJECT << 1 || tag === GROUP_OBJECT << 1
    return `${NAMES.get(tag)}:${isNamed ? id : ''}:${permissionText(permissions)}`
  })
  return lines?.join(',')
}

function parseValue(value: Uint8Array): AclEntry[] | undefined {
  const bytes = asBuffer(value)
  if (bytes.length < HEADER_BYTES || (bytes.length - HEADER_BYTES) % ENTRY_BYTES !== 0) {
    return undefined
  }
  if (bytes.readUInt32LE() !== XATTR_VERSION) return undefined
  const entries: AclEntry[] = []
  for (let offset = HEADER_BYTES; offset < bytes.length; offset += ENTRY_BYTES) {
    const tag = bytes.readUInt16LE(offset)
    const permissions = bytes.readUInt16LE(offset + 2)
    if (!NAMES.has(tag) || permissions > 7) return undefined
    entries.push({ tag, permissions, id: bytes.readUInt32LE(offset + 4) })
  }
  return entries
}

function parseEntry(text: string): AclEntry | undefined {
  // libarchive adds a fourth field, the number of an owner that is given by name.
  const [kind = '', owner = '', permissions = '', number] = text.split(':')
  const bits = /^([r-])([w-])([x-])$/.exec(permissions)
  const tag = Object.hasOwn(TAGS, kind) ? TAGS[kind] : undefined
  if (tag === undefined || bits === null) return undefined
  const mode = (bits[1] === 'r' ? 4 : 0) | (bits[2] === 'w' ? 2 : 0) | (bits[3] === 'x' ? 1 : 0)
  if (owner === '') return { tag, permissions: mode, id: UNDEFINED_ID }
  if (tag !== USER_OBJECT && tag !== GROUP_OBJECT) return undefined
  const id = /^\d{1,10}$/.test(number ?? '') ? number : owner
  if (id === undefined || !/^\d{1,10}$/.test(id) || Number(id) >= UNDEFINED_ID) return undefined
  return { tag: tag << 1, permissions: mode, id: Number(id) }
}

function permissionText(bits: number): string {
  return `${bits & 4 ? 'r' : '-'}${bits & 2 ? 'w' : '-'}${bits & 1 ? 'x' : '-'}`
}
