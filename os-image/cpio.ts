import { cpioEntry, CPIO_TRAILER } from '../src/machine/netboot/cpio-entry.ts'
import type { FileTree, TreeNode } from './file-tree.ts'

const TYPES: Readonly<Record<TreeNode['kind'], number>> = {
  file: 0o100000,
  directory: 0o040000,
  symlink: 0o120000,
  character: 0o020000
}

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
    const device = node.kind === 'character' ? node : { major: 0, minor: 0 }
    const { uid, gid } = node
    const mode = TYPES[node.kind] | node.mode
    const facts = { path, inode: inode++, mode, uid, gid, links, mtime, device }
    parts.push(...cpioEntry(facts, content))
  }
  parts.push(CPIO_TRAILER)
  return Buffer.concat(parts)
}

function contentOf(node: TreeNode): Buffer {
  if (node.kind === 'file') return node.content
  return node.kind === 'symlink' ? Buffer.from(node.target) : Buffer.alloc(0)
}
