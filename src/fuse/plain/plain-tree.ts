import type { Tree } from '../../image/tree/tree.ts'
import type { FileReader } from '../content/file-reader.ts'
import { mountAgreed, type FuseChannel } from '../protocol/fuse-channel.ts'
import { TreeServer } from './tree-server.ts'

/**
 * Mounts a tree as a plain FUSE filesystem, for kernels without EROFS, and resolves when the kernel has
 * shaken hands with it. It shows all that the tree holds. Disposing unmounts, lazily where busy; who
 * still uses it then gets errors.
 *
 * @param mountPoint an existing empty directory
 * @throws ContainerError `MISSING_TOOL`, `NEEDS_ROOT`, `MOUNT_FAILED`
 */
export async function servePlainTree(
  mountPoint: string,
  tree: Tree,
  files: FileReader
): Promise<FuseChannel> {
  const server = new TreeServer(tree, files)
  return mountAgreed({ mountPoint, name: 'dat-container' }, server)
}
