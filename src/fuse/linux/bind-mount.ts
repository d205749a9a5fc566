import { isContainerError } from '../../core/errors.ts'
import { mount, MOUNT_FLAG, umount } from './mount-syscall.ts'

export interface BindMountOptions {
  /**
   * Flags of the new mount, a sum of `MOUNT_FLAG`s, instead of those of the mount that `source` is on.
   * @default those
   */
  readonly flags?: number
  /** Take the mounts below `source` along. @default true */
  readonly recursive?: boolean
}

/**
 * Shows the file or directory `source` at `target` too; both exist. Flags need a second call, as the
 * kernel ignores them on the first; if that fails the bind is undone.
 *
 * @throws ContainerError as {@link mount}
 */
export async function bindMount(
  source: string,
  target: string,
  options: BindMountOptions = {}
): Promise<void> {
  const recursive = options.recursive === false ? 0 : MOUNT_FLAG.recursive
  await mount({ source, target, type: '', flags: MOUNT_FLAG.bind | recursive, data: '' })
  if (options.flags === undefined) return
  try {
    const flags = MOUNT_FLAG.bind | MOUNT_FLAG.remount | options.flags
    await mount({ source: 'none', target, type: '', flags, data: '' })
  } catch (error) {
    await umount(target, { lazy: true })
    throw error
  }
}

/**
 * Unmounts what is mounted last on `target`; nothing mounted there is no error.
 *
 * @param options.lazy `true` detaches at once; `'if-busy'` only where a plain unmount finds users
 * @throws ContainerError `BUSY` unless lazy, `NEEDS_ROOT`, `MOUNT_FAILED`
 */
export async function unmount(
  target: string,
  options: { lazy?: boolean | 'if-busy' } = {}
): Promise<void> {
  try {
    await umount(target, { lazy: options.lazy === true })
  } catch (error) {
    if (options.lazy !== 'if-busy' || !isContainerError(error, 'BUSY')) throw error
    await umount(target, { lazy: true })
  }
}
