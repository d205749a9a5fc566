import { realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { unmount } from './linux/bind-mount.ts'
import { CleanupStack } from '../core/cleanup-stack.ts'
import { takeOverDataDevice } from './device/data-device.ts'
import { FuseChannel } from './protocol/fuse-channel.ts'
import { deviceContent } from './mount-image.ts'
import type {
  Heirloom,
  MountedImage,
  MountImageOptions,
  MountMode
} from './content/mounted-image.ts'
import { deviceRanges } from './content/device-ranges.ts'
import { DeferredContent } from './content/deferred-content.ts'
import { unmountStale } from './linux/stale-mounts.ts'
import { TreeServer } from './plain/tree-server.ts'

export interface TakeOverOptions extends Pick<
  MountImageOptions,
  'content' | 'directory' | 'observer'
> {
  /** What the dead process had mounted. */
  readonly mode: MountMode
  readonly heirloom: Heirloom
}

/**
 * Goes on serving what {@link mountImage} has mounted in a process that died, for all who use it; reads that
 * the dead one has not answered are answered.
 *
 * On disposal everything is taken down, as that would.
 *
 * @throws ContainerError `MOUNT_FAILED` where the kernel gives no requests to a successor
 */
export async function takeOverImage(options: TakeOverOptions): Promise<MountedImage> {
  const { mode, heirloom } = options
  const directory = await realpath(options.directory)
  const rootfs = join(directory, 'rootfs')
  const served = new DeferredContent(options)
  const cleanup = new CleanupStack()
  // What the dead one made, whatever it was.
  cleanup.defer(async () => unmountStale(directory))
  let preload: MountedImage['preload'] = async () => {}
  try {
    if (mode === 'fuse') {
      const { tree, files } = await served.ask()
      const server = new TreeServer(tree, files)
      const handle: TreeServer['handle'] = (request, send) => server.handle(request, send)
      cleanup.hold(FuseChannel.takeOver({ device: heirloom.device, mountPoint: rootfs, handle }))
    } else {
      const content = served.ask().then((here) => deviceContent(here, heirloom.blocks))
      // Those who read are told.
      content.catch(() => {})
      const data = join(directory, 'data')
      const device = await takeOverDataDevice(data, heirloom.blocks, content, heirloom.device)
      cleanup.hold(device)
      cleanup.defer(async () => unmount(rootfs, { lazy: 'if-busy' }))
      preload = async (chunks) => {
        const { tree } = await served.here
        device.preload(deviceRanges(tree, (await content).layout, chunks))
      }
    }
    cleanup.defer(async () => served.close())
  } catch (error) {
    served.close()
    throw await cleanup.undoAfter(error)
  }
  return {
    rootfs,
    mode,
    heirloom,
    preload,
    serve: async () => void (await served.ask()),
    [Symbol.asyncDispose]: async () => cleanup[Symbol.asyncDispose]()
  }
}
