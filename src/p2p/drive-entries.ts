import type { EntryValue } from 'hyperdrive'
import type { Tree } from '../image/tree.ts'

/** Where an image's root directory stands in its drive. */
export const ROOTFS_FOLDER = '/rootfs'

/**
 * The drive entries of an image's files and symlinks: name → value, so that any Hyperdrive tool can
 * list the image. Readers of this project never look at them: the index is the truth. There is no
 * blob id, because a file's blocks need not stand in a row (equal chunks are stored once); the
 * metadata holds them as `[position in chunks, first block, offset in it, count]`.
 *
 * Names that are not UTF-8 are shown with replacement characters; where two of them become equal one
 * entry stands for both.
 */
export function* driveEntries(tree: Tree): Generator<[name: string, value: EntryValue]> {
  const pending: { directory: number; path: string }[] = [{ directory: 0, path: ROOTFS_FOLDER }]
  for (let at = pending.pop(); at; at = pending.pop()) {
    const first = tree.firstEntry(at.directory)
    const end = first + tree.directoryEntryCount(at.directory)
    for (let entry = first; entry < end; entry++) {
      const inode = tree.entryInode(entry)
      const path = `${at.path}/${Buffer.from(tree.entryName(entry)).toString()}`
      const type = tree.type(inode)
      if (type === 'directory') pending.push({ directory: inode, path })
      else if (type === 'file' || type === 'symlink') yield [path, entryValue(tree, inode)]
    }
  }
}

function entryValue(tree: Tree, inode: number): EntryValue {
  const { type, mode, uid, gid, mtimeSeconds, mtimeNanoseconds } = tree.attributes(inode)
  const size = tree.size(inode)
  const metadata = { mode, uid, gid, mtime: [mtimeSeconds, mtimeNanoseconds], size }
  if (type === 'symlink') {
    const linkname = Buffer.from(tree.symlinkTarget(inode)).toString()
    return { executable: false, linkname, blob: null, metadata }
  }
  const blocks = blockRuns(tree, inode)
  return {
    executable: (mode & 0o111) !== 0,
    linkname: null,
    blob: null,
    metadata: { ...metadata, encoding: 'dat-container-chunks', blocks }
  }
}

/** Chunks that follow each other in the file and in the log: the position of the first, its place, how many. */
type Run = [position: number, block: number, offset: number, count: number]

function blockRuns(tree: Tree, inode: number): Run[] {
  const { block, offset, storedBytes } = tree.chunks
  const runs: Run[] = []
  for (const { position, chunk, count } of tree.extents(inode)) {
    for (let n = 0; n < count; n++) {
      const at = chunk + n
      const last = runs.at(-1)
      const isNext =
        n > 0 &&
        (block[at] === block[at - 1]
          ? offset[at] === offset[at - 1]! + storedBytes[at - 1]!
          : block[at] === block[at - 1]! + 1 && offset[at] === 0)
      if (last && isNext) last[3]++
      else runs.push([position + n, block[at] ?? 0, offset[at] ?? 0, 1])
    }
  }
  return runs
}
