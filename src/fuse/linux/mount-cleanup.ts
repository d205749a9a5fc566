import { rm } from 'node:fs/promises'
import { unmount } from './bind-mount.ts'
import { mountsUnder, readMountTable } from './mount-table.ts'
import { ContainerError } from '../../core/errors.ts'

/**
 * Unmounts all that is mounted at or below `directory`, the last mounted first; detaches what is in
 * use. Asks the mount table alone, so a dead filesystem can't hang it.
 */
export async function unmountAllUnder(directory: string): Promise<void> {
  for (const { mountPoint } of mountsUnder(await readMountTable(), directory)) {
    await unmount(mountPoint, { lazy: 'if-busy' })
  }
}

/**
 * Deletes a directory of ours, but never through a mount point: what is mounted there is not ours to
 * delete.
 *
 * @throws ContainerError `BUSY` when something is still mounted below
 */
export async function removeUnmounted(directory: string): Promise<void> {
  const [left] = mountsUnder(await readMountTable(), directory)
  if (left !== undefined) {
    throw new ContainerError('BUSY', `${left.mountPoint} is still mounted`, {
      hint: `unmount it: umount -l ${left.mountPoint}`
    })
  }
  await rm(directory, { recursive: true, force: true })
}
