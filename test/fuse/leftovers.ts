import { readMountTable } from '../../src/fuse/linux/mount-table.ts'
import { listLoopDevices } from '../../src/fuse/linux/loop-device.ts'

/** Mounts and loop devices that belong to `directory`; empty when nothing was left behind. */
export async function leftovers(directory: string): Promise<string[]> {
  const mounts = (await readMountTable()).map(({ mountPoint }) => mountPoint)
  const loops = (await listLoopDevices()).map(({ backingFile }) => backingFile)
  return [...mounts, ...loops].filter((path) => path.startsWith(directory))
}
