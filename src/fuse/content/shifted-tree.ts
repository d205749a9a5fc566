import type { InodeAttributes, Tree, Xattr } from '../../image/tree/tree.ts'
import { DelegatingTree } from './delegating-tree.ts'
import { shiftXattr } from './shifted-xattr.ts'

/** As many ids as a container has; one above them is nobody's in there. */
const IDS = 65_536
const NOBODY = 65_534

/**
 * A tree whose files belong to other ids: `base` is added to each, in owners, in ACLs and in what file
 * capabilities are worth to whom. For containers with ids of their own, where the kernel cannot map those of a mount.
 */
export class ShiftedTree extends DelegatingTree {
  readonly #base: number

  constructor(tree: Tree, base: number) {
    super(tree)
    this.#base = base
  }

  override attributes(inode: number): InodeAttributes {
    const attributes = super.attributes(inode)
    return { ...attributes, uid: this.#shift(attributes.uid), gid: this.#shift(attributes.gid) }
  }

  override xattrs(inode: number): readonly Xattr[] {
    return super
      .xattrs(inode)
      .map((xattr) => shiftXattr(xattr, (id) => this.#shift(id), this.#base))
  }

  #shift(id: number): number {
    return this.#base + (id < IDS ? id : NOBODY)
  }
}
