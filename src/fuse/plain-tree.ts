import { constants } from 'node:os'
import type { Tree } from '../image/tree.ts'
import { CHUNK_BYTES } from '../image/tree.ts'
import { encodeDevice } from './erofs-inode.ts'
import { BLOCK_BYTES, MODE_TYPE } from './erofs-format.ts'
import type { FileReader } from './file-reader.ts'
import type { FuseCallback, FuseOperations, FuseStat } from './fuse-native-types.ts'
import { answerRead, serveFuse } from './fuse-server.ts'
import { decodeName, TreePaths } from './tree-path.ts'
import { visibleXattrs } from './visible-xattrs.ts'

const { ENOENT, ENOTDIR, EINVAL, EROFS, ENODATA } = constants.errno
const O_ACCMODE = 3
const STAT_BLOCK_BYTES = 512

/**
 * Mounts a tree as a plain fuse-native filesystem, for kernels without EROFS. Every attribute passes
 * but three, which fuse-native cannot carry: times are cut to milliseconds and not before 1970, names
 * and symlink targets that are not UTF-8 show U+FFFD, and SEEK_HOLE finds no holes.
 *
 * @param mountPoint an existing empty directory
 * @throws ContainerError `MISSING_TOOL`, `MOUNT_FAILED`
 */
export async function servePlainTree(
  mountPoint: string,
  tree: Tree,
  files: FileReader
): Promise<AsyncDisposable> {
  return serveFuse({
    mountPoint,
    operations: treeOperations(tree, files),
    name: 'dat-container',
    extra: ['dev', 'suid', 'use_ino', 'negative_timeout=86400', 'max_background=64'],
    // Without it the kernel would let every user read every file.
    options: { defaultPermissions: true }
  })
}

function treeOperations(tree: Tree, files: FileReader): FuseOperations {
  const paths = new TreePaths(tree)
  /** Answers with what `answer` returns for the inode at `path`: a result or a negative errno. */
  const at = <Result>(
    path: string,
    done: FuseCallback<Result>,
    answer: (inode: number) => Result | number
  ): void => {
    const inode = paths.find(path)
    const result = inode === undefined ? -ENOENT : answer(inode)
    if (typeof result === 'number') done(result)
    else done(0, result)
  }
  return {
    getattr: (path, done) => at(path, done, (inode) => statOf(tree, inode)),
    readdir: (path, done) => at(path, done, (inode) => namesIn(tree, inode)),
    readlink(path, done) {
      at(path, done, (inode) =>
        tree.type(inode) === 'symlink' ? decodeName(tree.symlinkTarget(inode)) : -EINVAL
      )
    },
    open(path, flags, done) {
      const inode = paths.find(path)
      if (inode === undefined) done(-ENOENT)
      else if ((flags & O_ACCMODE) !== 0) done(-EROFS)
      // Handle 0 would be taken for none.
      else done(0, inode + 1)
    },
    read(_path, handle, buffer, length, position, done) {
      const inode = handle - 1
      const count = Math.max(0, Math.min(length, tree.size(inode) - position))
      void answerRead(files.read(inode, position, buffer.subarray(0, count)), count, done)
    },
    getxattr(path, name, _position, done) {
      at(path, done, (inode) => {
        const found = visibleXattrs(tree, inode).find((xattr) => decodeName(xattr.name) === name)
        return found === undefined ? -ENODATA : Buffer.from(found.value)
      })
    },
    listxattr(path, done) {
      at(path, done, (inode) => visibleXattrs(tree, inode).map(({ name }) => decodeName(name)))
    },
    statfs: (_path, done) => done(0, statfsOf(tree))
  }
}

function statOf(tree: Tree, inode: number): FuseStat {
  const attributes = tree.attributes(inode)
  const directory = attributes.type === 'directory'
  const mtime = Math.max(
    0,
    attributes.mtimeSeconds * 1000 + Math.floor(attributes.mtimeNanoseconds / 1e6)
  )
  const size = directory ? BLOCK_BYTES : tree.size(inode)
  return {
    mode: MODE_TYPE[attributes.type] | attributes.mode,
    uid: attributes.uid,
    gid: attributes.gid,
    size,
    nlink: tree.linkCount(inode),
    ino: inode + 1,
    rdev: encodeDevice(attributes.deviceMajor, attributes.deviceMinor),
    blksize: BLOCK_BYTES,
    blocks: attributes.type === 'file' ? dataBlocks(tree, inode) : 0,
    mtime,
    atime: mtime,
    ctime: mtime
  }
}

/** What programs tell sparse files by: the blocks that hold data. */
function dataBlocks(tree: Tree, inode: number): number {
  let chunks = 0
  for (const { count } of tree.extents(inode)) chunks += count
  const size = Math.ceil(tree.size(inode) / BLOCK_BYTES) * BLOCK_BYTES
  return Math.min(chunks * CHUNK_BYTES, size) / STAT_BLOCK_BYTES
}

function namesIn(tree: Tree, inode: number): string[] | number {
  if (tree.type(inode) !== 'directory') return -ENOTDIR
  const names = ['.', '..']
  const first = tree.firstEntry(inode)
  const end = first + tree.directoryEntryCount(inode)
  for (let entry = first; entry < end; entry++) names.push(decodeName(tree.entryName(entry)))
  return names
}

function statfsOf(tree: Tree) {
  let bytes = 0
  for (let inode = 0; inode < tree.inodeCount; inode++) {
    if (tree.type(inode) === 'file') bytes += tree.size(inode)
  }
  return {
    bsize: BLOCK_BYTES,
    frsize: BLOCK_BYTES,
    blocks: Math.min(Math.ceil(bytes / BLOCK_BYTES), 0xffffffff),
    bfree: 0,
    bavail: 0,
    files: tree.inodeCount,
    ffree: 0,
    favail: 0,
    namemax: 255
  }
}
