import type { Tree } from './tree.ts'

const SLASH = 0x2f

/**
 * {@link lookupPath} of many paths: one directory's, asked for one after the other, cost one lookup each,
 * and in order of their names less than that.
 *
 * @returns looks a path up
 */
export function pathLookup(tree: Tree): (path: Uint8Array) => number | undefined {
  let parent: Uint8Array | undefined
  let directory: number | undefined
  let next = 0
  return (path) => {
    const end = Math.max(path.lastIndexOf(SLASH), 0)
    const above = path.subarray(0, end)
    if (parent === undefined || Buffer.compare(parent, above) !== 0) {
      parent = above
      directory = end === 0 ? 0 : lookupPath(tree, above)
      next = directory === undefined ? 0 : tree.firstEntry(directory)
    }
    if (directory === undefined || tree.type(directory) !== 'directory') return undefined
    const name = end === 0 ? path : path.subarray(end + 1)
    const last = tree.firstEntry(directory) + tree.directoryEntryCount(directory)
    if (next < last && Buffer.compare(tree.entryName(next), name) === 0) {
      return tree.entryInode(next++)
    }
    const entry = tree.findEntry(directory, name)
    if (entry === undefined) return undefined
    next = entry + 1
    return tree.entryInode(entry)
  }
}

/** The inode of a path relative to the root whose names are taken as they are: no symlink is followed. */
export function lookupPath(tree: Tree, path: Uint8Array): number | undefined {
  let inode = 0
  let start = 0
  while (start <= path.length) {
    const slash = path.indexOf(SLASH, start)
    const end = slash === -1 ? path.length : slash
    if (tree.type(inode) !== 'directory') return undefined
    const child = tree.lookup(inode, path.subarray(start, end))
    if (child === undefined) return undefined
    inode = child
    start = end + 1
  }
  return inode
}
