import type { Tree, Xattr } from '../../image/tree/tree.ts'

/**
 * What overlayfs writes for itself on files of a layer. A publisher's image must not speak to the
 * overlay that is put on it: redirects and whiteouts are the overlay's to make.
 */
export const OVERLAY_PREFIX = 'trusted.overlay.'
/** What an overlay makes of its attributes in the merged directory is written so in a layer; it has no other meaning. */
const ESCAPED_PREFIX = `${OVERLAY_PREFIX}overlay.`

/** The extended attributes of an inode that a mount shows: none that means something to an overlay on top. */
export function visibleXattrs(tree: Tree, inode: number): readonly Xattr[] {
  const all = tree.xattrs(inode)
  return all.some(isMeant) ? all.filter((xattr) => !isMeant(xattr)) : all
}

/** Whether an attribute is overlayfs's own, escaped or not. */
export function isOverlays({ name }: Xattr): boolean {
  return startsWith(name, OVERLAY_PREFIX)
}

/** An attribute of overlayfs in the form in which an overlay on top shows it; any other as it is. */
export function escapeXattr(xattr: Xattr): Xattr {
  if (!isOverlays(xattr)) return xattr
  const rest = xattr.name.subarray(OVERLAY_PREFIX.length)
  return { ...xattr, name: Buffer.concat([Buffer.from(ESCAPED_PREFIX), rest]) }
}

function isMeant(xattr: Xattr): boolean {
  return isOverlays(xattr) && !startsWith(xattr.name, ESCAPED_PREFIX)
}

function startsWith(name: Uint8Array, prefix: string): boolean {
  return Buffer.from(prefix).equals(name.subarray(0, prefix.length))
}
