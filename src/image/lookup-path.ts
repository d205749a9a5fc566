import type { Tree } from './tree.ts'

const SLASH = 0x2f

/**
 * {@link lookupPath} of many paths: one directory's, asked for one after the other, cost one lookup each.
 *
 * @returns looks a path up
 */
export function pathLookup(tree: Tree): (path: Uint8Array) => number | undefined {
  let parent: Uint8Array | undefined
  let directory: number | undefined
  return (path) => {
    const end = Math.max(path.lastIndexOf(SLASH), 0)
    const above = path.subarray(0, end)
    if (parent === undefined || Buffer.compare(parent, above) !== 0) {
      parent = above
      directory = end === 0 ? 0 : lookupPath(tree, above)
    }
    if (directory === undefined || tree.type(directory) !== 'directory') return undefined
    return tree.lookup(directory, end === 0 ? path : path.subarray(end + 1))
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
