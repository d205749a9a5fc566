import { realpath, rm, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { systemErrorCode } from '../../core/errors.ts'
import { unmount } from './bind-mount.ts'
import { detachLoop, listLoopDevices } from './loop-device.ts'
import { mountsUnder, readMountTable } from './mount-table.ts'

/**
 * Takes down what a process that died left of {@link mountImage} in `directory`: mounts (lazily),
 * loop devices over files in it, and the files themselves. Reads nothing through a dead mount. Doing
 * it again, or where nothing was left, or where the directory is gone, does nothing.
 *
 * @throws ContainerError `NEEDS_ROOT`, `MOUNT_FAILED`
 */
export async function unmountStale(directory: string): Promise<void> {
  const path = await realpath(directory).catch((error: unknown) => {
    if (systemErrorCode(error) === 'ENOENT') return undefined
    throw error
  })
  if (path === undefined) return
  // Before unmounting: a loop device over a file of a detached mount has lost the path of it.
  const loops = (await listLoopDevices()).filter((device) =>
    device.backingFile.startsWith(`${path}/`)
  )
  for (const { mountPoint } of mountsUnder(await readMountTable(), path)) {
    await unmount(mountPoint, { lazy: true })
  }
  for (const device of loops) await detachLoop(device.path)
  for (const name of ['meta.erofs', 'meta.erofs.unfinished']) {
    await rm(join(path, name), { force: true })
  }
  for (const name of ['data', 'rootfs']) {
    await rmdir(join(path, name)).catch((error: unknown) => {
      if (systemErrorCode(error) !== 'ENOENT') throw error
    })
  }
}
