import type { FileTree, TreeNode } from './file-tree.ts'

const TYPES: Readonly<Record<TreeNode['kind'], number>> = {
  file: 0o100000,
  directory: 0o040000,
  symlink: 0o120000,
  character: 0o020000
}
const MAGIC = '070701'
const TRAILER = 'TRAILER!!!'

/**
 * The tree as a cpio archive, "new ASCII" without checksums, as the kernel unpacks it
 * (Documentation/driver-api/early-userspace/buffer-format.rst). Equal trees give equal bytes.
 *
 * @param mtime of everything, seconds since 1970
 */
export function cpioArchive(tree: FileTree, mtime: number): Buffer {
  const parts: Buffer[] = []
  let inode = 1
  for (const [path, node] of tree.sorted()) {
    const content = contentOf(node)
    const links = node.kind === 'directory' ? 2 : 1
    const device = node.kind === 'character' ? [node.major, node.minor] : [0, 0]
    const numbers = [inode++, TYPES[node.kind] | node.mode, node.uid, node.gid, links, mtime]
    parts.push(header(path, [...numbers, content.length, 0, 0, ...device]), ...padded(content))
  }
  parts.push(header(TRAILER, [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]))
  return Buffer.concat(parts)
}

function contentOf(node: TreeNode): Buffer {
  if (node.kind === 'file') return node.content
  return node.kind === 'symlink' ? Buffer.from(node.target) : Buffer.alloc(0)
}

/** @param numbers ino, mode, uid, gid, nlink, mtime, size, major, minor, rmajor, rminor */
function header(path: string, numbers: readonly number[]): Buffer {
  const name = Buffer.from(`${path}\0`)
  const fields = [...numbers, name.length, 0].map((each) => each.toString(16).padStart(8, '0'))
  return Buffer.concat(padded(Buffer.concat([Buffer.from(MAGIC + fields.join('')), name])))
}

function padded(content: Buffer): Buffer[] {
  return [content, Buffer.alloc(-content.length & 3)]
}
