import type { Tree } from './tree.ts'

const SLASH = 0x2f

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
