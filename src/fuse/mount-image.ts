import { mkdir, realpath, rm, rmdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { ContainerError, isContainerError } from '../image/errors.ts'
import { CleanUpList } from './clean-up-list.ts'
import { serveDataDevice } from './data-device.ts'
import { planDataLayout } from './data-layout.ts'
import { writeErofsImage } from './erofs-image.ts'
import { planErofsMount, type ErofsPaths } from './erofs-mount-plan.ts'
import { mountErofs } from './erofs-mount.ts'
import { FileReader } from './file-reader.ts'
import { takeKeptMetadata } from './kept-metadata.ts'
import { readKernelFacts } from './kernel-facts.ts'
import type { MountedImage, MountImageOptions, MountMode } from './mounted-image.ts'
import { servePlainTree } from './plain-tree.ts'

/**
 * Mounts a tree at `directory`/rootfs and serves it from this thread, which must not read it by
 * synchronous calls. Needs root.
 *
 * On disposal reads in flight fail with EIO at once, and everything is taken down in reverse order.
 *
 * @throws ContainerError `MISSING_TOOL` (mode `erofs` on a kernel without it, no FUSE), `NEEDS_ROOT`,
 *   `MOUNT_FAILED`, `DISK_FULL`, `CANCELLED`; nothing is left mounted then
 */
export async function mountImage(options: MountImageOptions): Promise<MountedImage> {
  const mode = options.mode ?? 'auto'
  if (mode === 'fuse') return mountAs('fuse', options)
  try {
    return await mountAs('erofs', options)
  } catch (error) {
    if (mode === 'erofs' || !isContainerError(error, 'MISSING_TOOL', 'MOUNT_FAILED')) throw error
    const mounted = await mountAs('fuse', options)
    return { ...mounted, fallbackReason: error }
  }
}

async function mountAs(mode: MountMode, options: MountImageOptions): Promise<MountedImage> {
  const directory = await realpath(options.directory)
  const rootfs = join(directory, 'rootfs')
  const files = new FileReader(options.tree, options.chunks, options)
  const cleanUp = new CleanUpList()
  let metadata: string | undefined
  const checkCancelled = (): void => {
    if (options.signal?.aborted === true) {
      throw new ContainerError('CANCELLED', 'mounting was cancelled')
    }
  }
  try {
    checkCancelled()
    await makeMountPoint(rootfs, cleanUp)
    if (mode === 'fuse') {
      cleanUp.hold(await servePlainTree(rootfs, options.tree, files))
    } else {
      metadata = await mountOverDevice(options, directory, files, cleanUp, checkCancelled)
    }
    // Asynchronous, so this thread can answer it.
    await stat(rootfs)
    checkCancelled()
    // Last in, so first to go: nothing that is taken down may wait for content.
    cleanUp.push(async () => files.close())
  } catch (error) {
    files.close()
    throw await cleanUp.after(error)
  }
  return {
    rootfs,
    mode,
    ...(metadata !== undefined && { metadata }),
    [Symbol.asyncDispose]: async () => cleanUp[Symbol.asyncDispose]()
  }
}

/** @returns the metadata image, where it was made now */
async function mountOverDevice(
  options: MountImageOptions,
  directory: string,
  files: FileReader,
  cleanUp: CleanUpList,
  checkCancelled: () => void
): Promise<string | undefined> {
  const { tree, erofsBacking, keptMetadata } = options
  const deviceDirectory = join(directory, 'data')
  const paths: ErofsPaths = {
    meta: join(directory, 'meta.erofs'),
    data: join(deviceDirectory, 'data'),
    target: join(directory, 'rootfs')
  }
  const kernel = await readKernelFacts()
  // Fails here on a kernel that cannot, before anything is written.
  const steps = planErofsMount(kernel, paths, erofsBacking)
  const layout = planDataLayout(tree)
  cleanUp.push(async () => rm(paths.meta, { force: true }))
  const isKept = keptMetadata !== undefined && (await takeKeptMetadata(keptMetadata, paths.meta))
  if (!isKept) await writeErofsImage(tree, layout, paths.meta)
  checkCancelled()
  await makeMountPoint(deviceDirectory, cleanUp)
  cleanUp.hold(await serveDataDevice(deviceDirectory, layout, files))
  try {
    cleanUp.hold(await mountErofs(steps))
  } catch (error) {
    // Linux takes no metadata image that lies on tmpfs or overlayfs, except through a loop device.
    if (erofsBacking === 'file' || !isContainerError(error, 'MOUNT_FAILED')) throw error
    cleanUp.hold(await mountErofs(planErofsMount(kernel, paths, 'loop')))
  }
  return isKept ? undefined : paths.meta
}

async function makeMountPoint(path: string, cleanUp: CleanUpList): Promise<void> {
  await mkdir(path, { mode: 0o700 })
  cleanUp.push(async () => rmdir(path))
}
