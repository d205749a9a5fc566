import { mkdir, realpath, rm, rmdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { ContainerError, isContainerError } from '../core/errors.ts'
import { CleanupStack } from '../core/cleanup-stack.ts'
import { deviceRanges } from './content/device-ranges.ts'
import { serveDataDevice, type DataDevice, type DeviceContent } from './device/data-device.ts'
import { hasCoarseHoles, planDataLayout } from './content/data-layout.ts'
import { writeErofsImage } from './erofs/erofs-image.ts'
import type { FuseChannel } from './protocol/fuse-channel.ts'
import { planErofsMount, type ErofsPaths } from './erofs/erofs-mount-plan.ts'
import { mountErofs } from './erofs/erofs-mount.ts'
import { takeKeptMetadata } from './erofs/kept-metadata.ts'
import { readKernelFacts } from './linux/kernel-facts.ts'
import type { MountedImage, MountImageOptions, MountMode } from './content/mounted-image.ts'
import { servePlainTree } from './plain/plain-tree.ts'
import { DeferredContent, type TreeFiles } from './content/deferred-content.ts'

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
  const served = new DeferredContent(options)
  const cleanup = new CleanupStack()
  let device: MountedDevice | undefined
  let channel: FuseChannel | undefined
  const checkCancelled = (): void => {
    if (options.signal?.aborted === true) {
      throw new ContainerError('CANCELLED', 'mounting was cancelled')
    }
  }
  try {
    checkCancelled()
    await makeMountPoint(rootfs, cleanup)
    if (mode === 'fuse') {
      const { tree, files } = await served.ask()
      channel = await servePlainTree(rootfs, tree, files)
      cleanup.hold(channel)
    } else {
      device = await mountOverDevice(options, directory, served, cleanup, checkCancelled)
      channel = device.channel
    }
    // Asynchronous, so this thread can answer it.
    await stat(rootfs)
    checkCancelled()
    // Last in, so first to go: nothing that is taken down may wait for content.
    cleanup.defer(async () => served.close())
  } catch (error) {
    served.close()
    throw await cleanup.undoAfter(error)
  }
  const { metadata } = device ?? {}
  return {
    rootfs,
    mode,
    ...(metadata !== undefined && { metadata }),
    ...(channel?.askAgain() === true && {
      heirloom: { device: channel.device, blocks: device?.blocks ?? 0 }
    }),
    serve: async () => void (await served.ask()),
    async preload(chunks) {
      if (device === undefined) return
      const { tree } = await served.ask()
      const { layout } = await device.content
      device.preload(deviceRanges(tree, layout, chunks))
    },
    [Symbol.asyncDispose]: async () => cleanup[Symbol.asyncDispose]()
  }
}

interface MountedDevice extends Pick<DataDevice, 'preload' | 'channel'> {
  readonly blocks: number
  /** The metadata image, where it was made now. */
  readonly metadata: string | undefined
  readonly content: Promise<DeviceContent>
}

async function mountOverDevice(
  options: MountImageOptions,
  directory: string,
  served: DeferredContent,
  cleanup: CleanupStack,
  checkCancelled: () => void
): Promise<MountedDevice> {
  const { erofsBacking, keptMetadata, deviceTransport } = options
  const deviceDirectory = join(directory, 'data')
  const paths: ErofsPaths = {
    meta: join(directory, 'meta.erofs'),
    data: join(deviceDirectory, 'data'),
    target: join(directory, 'rootfs')
  }
  const kernel = await readKernelFacts()
  // Fails here on a kernel that cannot, before anything is written.
  const steps = planErofsMount(kernel, paths, erofsBacking)
  cleanup.defer(async () => rm(paths.meta, { force: true }))
  const kept =
    keptMetadata === undefined ? undefined : await takeKeptMetadata(keptMetadata, paths.meta)
  const device =
    kept === undefined
      ? await makeMetadata(await served.ask(), paths.meta, options.mode)
      : { blocks: kept, content: served.here.then((here) => deviceContent(here, kept)) }
  // Those who read are told.
  device.content.catch(() => {})
  checkCancelled()
  await makeMountPoint(deviceDirectory, cleanup)
  const data = await serveDataDevice(
    deviceDirectory,
    device.blocks,
    device.content,
    deviceTransport
  )
  cleanup.hold(data)
  try {
    cleanup.hold(await mountErofs(steps))
  } catch (error) {
    // Linux takes no metadata image that lies on tmpfs or overlayfs, except through a loop device.
    if (erofsBacking === 'file' || !isContainerError(error, 'MOUNT_FAILED')) throw error
    cleanup.hold(await mountErofs(planErofsMount(kernel, paths, 'loop')))
  }
  return {
    metadata: kept === undefined ? paths.meta : undefined,
    blocks: device.blocks,
    channel: data.channel,
    content: device.content,
    preload: (ranges) => data.preload(ranges)
  }
}

interface PlannedDevice {
  readonly blocks: number
  readonly content: Promise<DeviceContent>
}

/** @throws ContainerError `MISSING_TOOL` where EROFS cannot hold the tree, or not exactly and nobody insists */
async function makeMetadata(
  { tree, files }: TreeFiles,
  path: string,
  mode: MountImageOptions['mode']
): Promise<PlannedDevice> {
  if (mode !== 'erofs' && hasCoarseHoles(tree)) {
    throw new ContainerError(
      'MISSING_TOOL',
      'EROFS counts the holes of a huge sparse file as data',
      {
        hint: 'mount with --mount fuse'
      }
    )
  }
  const layout = planDataLayout(tree)
  await writeErofsImage(tree, layout, path)
  return { blocks: layout.blocks, content: Promise.resolve({ layout, files }) }
}

/**
 * What a device of so many blocks is made of, as the metadata image says that was kept.
 *
 * @throws ContainerError `MOUNT_FAILED` when the tree is another
 */
export function deviceContent({ tree, files }: TreeFiles, blocks: number): DeviceContent {
  const layout = planDataLayout(tree)
  if (layout.blocks === blocks) return { layout, files }
  throw new ContainerError('MOUNT_FAILED', 'the cached metadata belongs to another image', {
    hint: 'delete the folder `metadata` of the home'
  })
}

async function makeMountPoint(path: string, cleanup: CleanupStack): Promise<void> {
  await mkdir(path, { mode: 0o700 })
  cleanup.defer(async () => rmdir(path))
}
