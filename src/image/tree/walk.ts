import type { Tree } from './tree.ts'

export interface WalkedEntry {
  /** Relative to the root, without a leading slash; empty for the root itself. */
  readonly path: Buffer
  readonly inode: number
}

const SLASH = Buffer.from('/')

/**
 * Every name of the tree, depth first, the names of a directory in byte order, the root first. A
 * hardlinked inode comes once a name.
 */
export function* walk(tree: Tree): Generator<WalkedEntry, void, undefined> {
  // A stack of its own: directories may nest deeper than generators should.
  const stack: { prefix: Buffer; next: number; end: number }[] = []
  const enter = (directory: number, path: Buffer): void => {
    const next = tree.firstEntry(directory)
    const prefix = path.length === 0 ? path : Buffer.concat([path, SLASH])
    stack.push({ prefix, next, end: next + tree.directoryEntryCount(directory) })
  }
  yield { path: Buffer.alloc(0), inode: 0 }
  enter(0, Buffer.alloc(0))
  let level = stack.at(-1)
  while (level !== undefined) {
    if (level.next === level.end) {
      stack.pop()
    } else {
      const entry = level.next++
      const path = Buffer.concat([level.prefix, tree.entryName(entry)])
      const inode = tree.entryInode(entry)
      yield { path, inode }
      if (tree.type(inode) === 'directory') enter(inode, path)
    }
    level = stack.at(-1)
  }
}
