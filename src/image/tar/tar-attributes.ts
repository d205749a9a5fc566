import { aclPermissions, encodeAcl, isMinimalAcl } from '../tree/posix-acl.ts'
import { badArchive } from './tar-error.ts'
import { paxXattrs } from './tar-pax.ts'
import type { TarHeader } from './tar-header.ts'
import type { PaxRecords } from './tar-pax.ts'
import type { FileType, InodeAttributes, Xattr } from '../tree/tree.ts'

const ACCESS_ACL = 'system.posix_acl_access'

/**
 * What headers say of an entry's attributes, extended ones first.
 *
 * @param path for messages
 * @throws ContainerError `BAD_SOURCE` for an ACL that names owners without numbers
 */
export function entryAttributes(
  type: FileType,
  header: TarHeader,
  pax: PaxRecords,
  path: string
): { attributes: InodeAttributes; xattrs: Xattr[] } {
  const xattrs = xattrsOf(pax, path)
  const attributes = attributesOf(type, header, pax)
  return { attributes: { ...attributes, mode: modeWithAcl(attributes.mode, xattrs) }, xattrs }
}

function xattrsOf(pax: PaxRecords, path: string): Xattr[] {
  const xattrs = paxXattrs(pax)
  for (const [kind, text] of pax.acls) {
    if (kind !== 'access' && kind !== 'default') continue
    const value = encodeAcl(text)
    if (value === undefined) {
      const hint = 'make the archive with --numeric-owner'
      throw badArchive(`the ACL of ${path} names owners without their numbers`, hint)
    }
    const name = `system.posix_acl_${kind}`
    if (pax.xattrs.has(name) || (kind === 'access' && isMinimalAcl(value))) continue
    xattrs.push({ name: Buffer.from(name), value })
  }
  return xattrs
}

function attributesOf(type: FileType, header: TarHeader, pax: PaxRecords): InodeAttributes {
  const isDevice = type === 'character' || type === 'block'
  return {
    type,
    // Linux has no other mode for symlinks, whatever a program wrote. Old ones put the type in as well.
    mode: type === 'symlink' ? 0o777 : header.mode & 0o7777,
    uid: pax.uid ?? header.uid,
    gid: pax.gid ?? header.gid,
    mtimeSeconds: pax.mtime?.seconds ?? header.mtimeSeconds,
    mtimeNanoseconds: pax.mtime?.nanoseconds ?? 0,
    deviceMajor: isDevice ? header.deviceMajor : 0,
    deviceMinor: isDevice ? header.deviceMinor : 0
  }
}

/** Setting an access ACL changes the mode, and not all programs put the result into the header. */
function modeWithAcl(mode: number, xattrs: readonly Xattr[]): number {
  const acl = xattrs.find(({ name }) => Buffer.from(name).toString('latin1') === ACCESS_ACL)
  const permissions = acl && aclPermissions(acl.value)
  return permissions === undefined ? mode : (mode & ~0o777) | permissions
}
