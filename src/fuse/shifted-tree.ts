import type { InodeAttributes, Tree, Xattr } from '../image/tree.ts'
import { shiftXattr } from './shifted-xattr.ts'

/** As many ids as a container has; one above them is nobody's in there. */
const IDS = 65_536
const NOBODY = 65_534

/**
 * A tree whose files belong to other ids: `base` is added to each, in owners, in ACLs and in what file
 * capabilities are worth to whom. For containers with ids of their own, where the kernel cannot map those of a mount.
 */
export class ShiftedTree implements Tree {
  readonly #tree: Tree
  readonly #base: number

  constructor(tree: Tree, base: number) {
    this.#tree = tree
    this.#base = base
  }

  get inodeCount(): number {
    return this.#tree.inodeCount
  }

  get entryCount(): number {
    return this.#tree.entryCount
  }

  get chunks(): Tree['chunks'] {
    return this.#tree.chunks
  }

  get chunkBytes(): Tree['chunkBytes'] {
    return this.#tree.chunkBytes
  }

  attributes(inode: number): InodeAttributes {
    const attributes = this.#tree.attributes(inode)
    return { ...attributes, uid: this.#shift(attributes.uid), gid: this.#shift(attributes.gid) }
  }

  type(inode: number): ReturnType<Tree['type']> {
    return this.#tree.type(inode)
  }

  size(inode: number): number {
    return this.#tree.size(inode)
  }

  linkCount(inode: number): number {
    return this.#tree.linkCount(inode)
  }

  symlinkTarget(inode: number): Uint8Array {
    return this.#tree.symlinkTarget(inode)
  }

  xattrs(inode: number): readonly Xattr[] {
    return this.#tree
      .xattrs(inode)
      .map((xattr) => shiftXattr(xattr, (id) => this.#shift(id), this.#base))
  }

  extents(inode: number): ReturnType<Tree['extents']> {
    return this.#tree.extents(inode)
  }

  parent(directory: number): number {
    return this.#tree.parent(directory)
  }

  firstEntry(directory: number): number {
    return this.#tree.firstEntry(directory)
  }

  directoryEntryCount(directory: number): number {
    return this.#tree.directoryEntryCount(directory)
  }

  entryName(entry: number): Uint8Array {
    return this.#tree.entryName(entry)
  }

  entryInode(entry: number): number {
    return this.#tree.entryInode(entry)
  }

  findEntry(directory: number, name: Uint8Array): number | undefined {
    return this.#tree.findEntry(directory, name)
  }

  lookup(directory: number, name: Uint8Array): number | undefined {
    return this.#tree.lookup(directory, name)
  }

  #shift(id: number): number {
    return this.#base + (id < IDS ? id : NOBODY)
  }
}
