import type { Extent, FileType, InodeAttributes, Tree, Xattr } from '../../image/tree/tree.ts'
import { DelegatingTree } from './delegating-tree.ts'
import { escapeXattr, isOverlays, OVERLAY_PREFIX } from './visible-xattrs.ts'

const EMPTY = new Uint8Array()
/** An empty file that overlayfs takes for a whiteout, in a directory that says that it has some. */
const WHITEOUT: Xattr = { name: Buffer.from(`${OVERLAY_PREFIX}whiteout`), value: EMPTY }
const HAS_WHITEOUTS: Xattr = {
  name: Buffer.from(`${OVERLAY_PREFIX}opaque`),
  value: Buffer.from('x')
}
const OPAQUE = Buffer.from(`${OVERLAY_PREFIX}opaque`)

/** Whether overlayfs would take something in a tree for its own: devices 0:0, and its attributes. */
export function hasOverlayMarks(tree: Tree): boolean {
  for (let inode = 0; inode < tree.inodeCount; inode++) {
    if (isWhiteoutDevice(tree, inode) || tree.xattrs(inode).some(isOverlays)) return true
  }
  return false
}

/**
 * A tree as the lower layer of an overlay whose merged directory is to show what the tree holds of an overlay itself.
 * Attributes of overlayfs are escaped, which it undoes (from Linux 6.7 on). A device 0:0, which it can show in no way,
 * is the other form of a whiteout: an empty file with an attribute, whiteout to an overlay in the container, and a
 * file to everybody else.
 */
export class EscapedTree extends DelegatingTree {
  /** Directories that have whiteouts. */
  readonly #directories = new Set<number>()
  readonly #whiteouts = new Set<number>()

  constructor(tree: Tree) {
    super(tree)
    for (let inode = 0; inode < tree.inodeCount; inode++) {
      if (isWhiteoutDevice(tree, inode)) this.#whiteouts.add(inode)
    }
    if (this.#whiteouts.size === 0) return
    for (let inode = 0; inode < tree.inodeCount; inode++) {
      if (tree.type(inode) !== 'directory') continue
      const first = tree.firstEntry(inode)
      const end = first + tree.directoryEntryCount(inode)
      for (let entry = first; entry < end; entry++) {
        if (this.#whiteouts.has(tree.entryInode(entry))) this.#directories.add(inode)
      }
    }
  }

  override type(inode: number): FileType {
    return this.#whiteouts.has(inode) ? 'file' : super.type(inode)
  }

  override attributes(inode: number): InodeAttributes {
    const attributes = super.attributes(inode)
    return this.#whiteouts.has(inode) ? { ...attributes, type: 'file' } : attributes
  }

  override size(inode: number): number {
    return this.#whiteouts.has(inode) ? 0 : super.size(inode)
  }

  override extents(inode: number): readonly Extent[] {
    return this.#whiteouts.has(inode) ? [] : super.extents(inode)
  }

  override xattrs(inode: number): readonly Xattr[] {
    const own = super.xattrs(inode)
    const added: Xattr[] = []
    if (this.#whiteouts.has(inode)) added.push(WHITEOUT)
    // One that is opaque itself shows nothing of what its whiteouts would hide.
    else if (this.#directories.has(inode) && !own.some(({ name }) => OPAQUE.equals(name))) {
      added.push(HAS_WHITEOUTS)
    }
    if (added.length === 0 && !own.some(isOverlays)) return own
    return [...own, ...added].map(escapeXattr)
  }
}

function isWhiteoutDevice(tree: Tree, inode: number): boolean {
  if (tree.type(inode) !== 'character') return false
  const { deviceMajor, deviceMinor } = tree.attributes(inode)
  return deviceMajor === 0 && deviceMinor === 0
}
