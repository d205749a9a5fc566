import type { InodeAttributes, Tree, Xattr } from '../../image/tree/tree.ts'

/** A tree as another shows it; what differs is overridden. */
export class DelegatingTree implements Tree {
  readonly #tree: Tree

  constructor(tree: Tree) {
    this.#tree = tree
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
    return this.#tree.attributes(inode)
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
    return this.#tree.xattrs(inode)
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
}
