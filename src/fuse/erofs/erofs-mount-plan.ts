import { ContainerError } from '../../core/errors.ts'
import type { KernelFacts } from '../linux/kernel-facts.ts'
import { MOUNT_FLAG, type MountCall } from '../linux/mount-syscall.ts'

export interface ErofsPaths {
  /** The metadata image. */
  readonly meta: string
  /** The file of the data device. */
  readonly data: string
  readonly target: string
}

/** How the EROFS image is put under the kernel: from files as they are, or through loop devices. */
export type ErofsBacking = 'file' | 'loop'

/** One step of a mount. A loop device's path stands in later steps as `{meta}` or `{data}`. */
export type ErofsMountStep =
  | {
      readonly do: 'attach-loop'
      readonly name: 'meta' | 'data'
      readonly file: string
      readonly direct: boolean
    }
  | { readonly do: 'mount'; readonly call: MountCall }

/**
 * On this machine an image's setuid programs and device nodes mean nothing. A container's overlay has flags of
 * its own, so that setuid programs work in there.
 */
const FLAGS = MOUNT_FLAG.readOnly | MOUNT_FLAG.noSuid | MOUNT_FLAG.noDev

/**
 * Plans the mount of an EROFS metadata image and its data device.
 *
 * Linux takes regular files from 6.12 on, block devices beside the first from 5.16 on. The data file
 * is read through the page cache: with `directio` the kernel asks FUSE for every 4 KiB page by itself
 * (measured in docs/decisions/0002-mount.md). A loop device joins them, so there it is on.
 *
 * @param backing `auto` takes files where the kernel can
 * @throws ContainerError `MISSING_TOOL` when the kernel can do neither
 */
export function planErofsMount(
  kernel: KernelFacts,
  paths: ErofsPaths,
  backing: ErofsBacking | 'auto' = 'auto'
): ErofsMountStep[] {
  const { meta, data, target } = paths
  if (!kernel.erofs || !atLeast(kernel, 5, 16)) {
    throw new ContainerError('MISSING_TOOL', 'this kernel has no EROFS with extra devices', {
      hint: 'Linux 5.16 or newer with CONFIG_EROFS_FS is needed; or mount with --mount fuse'
    })
  }
  if (backing !== 'loop' && atLeast(kernel, 6, 12)) {
    const call: MountCall = {
      source: meta,
      target,
      type: 'erofs',
      flags: FLAGS,
      data: `device=${data}`
    }
    return [{ do: 'mount', call }]
  }
  return [
    { do: 'attach-loop', name: 'meta', file: meta, direct: false },
    { do: 'attach-loop', name: 'data', file: data, direct: true },
    {
      do: 'mount',
      call: { source: '{meta}', target, type: 'erofs', flags: FLAGS, data: 'device={data}' }
    }
  ]
}

function atLeast(kernel: KernelFacts, major: number, minor: number): boolean {
  return kernel.major > major || (kernel.major === major && kernel.minor >= minor)
}
