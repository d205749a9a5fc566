import type { Tree, Xattr } from '../image/tree.ts'

/**
 * What overlayfs writes for itself on files of a layer. A publisher's image must not speak to the
 * overlay that is put on it: redirects and whiteouts are the overlay's to make.
 */
const OVERLAY_PREFIX = Buffer.from('trusted.overlay.')

/** The extended attributes of an inode that a mount shows. */
export function visibleXattrs(tree: Tree, inode: number): readonly Xattr[] {
  const all = tree.xattrs(inode)
  return all.some(isOverlays) ? all.filter((xattr) => !isOverlays(xattr)) : all
}

function isOverlays({ name }: Xattr): boolean {
  return OVERLAY_PREFIX.equals(name.subarray(0, OVERLAY_PREFIX.length))
}
