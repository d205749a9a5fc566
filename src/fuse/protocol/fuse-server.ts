import { access } from 'node:fs/promises'
import { ContainerError } from '../../core/errors.ts'
import { loadFuse } from './binding.ts'
import { unmount } from '../linux/bind-mount.ts'
import { fuseErrno } from '../linux/errno.ts'
import type { FuseCallback, FuseOperations, FuseOptions } from './fuse-native-types.ts'

/**
 * What holds for every mount of this project. The trees never change, so the kernel may keep names
 * and attributes for a day. No time-out: a read waits for peers as long as the reader's policy says.
 */
const COMMON_OPTIONS: FuseOptions = {
  timeout: false,
  allowOther: true,
  kernelCache: true,
  entryTimeout: 86_400,
  attrTimeout: 86_400,
  maxRead: 128 * 1024
}

export interface ServeFuseOptions {
  /** An existing empty directory. */
  readonly mountPoint: string
  readonly operations: FuseOperations
  /** Shown as the source of the mount. No commas. */
  readonly name: string
  /** Options of libfuse that fuse-native has no field for; they ride in `fsname`. */
  readonly extra?: readonly string[]
}

/**
 * Mounts a fuse-native filesystem served by this thread, and resolves when the kernel has shaken
 * hands with it. Disposing unmounts, lazily where busy.
 *
 * @throws ContainerError `MISSING_TOOL` (no libfuse, no /dev/fuse), `MOUNT_FAILED`
 */
export async function serveFuse(options: ServeFuseOptions): Promise<AsyncDisposable> {
  const { Fuse, addon } = loadFuse()
  await requireFuseDevice()
  const fuse = new Fuse(options.mountPoint, options.operations, {
    ...COMMON_OPTIONS,
    fsname: [options.name, 'ro', ...(options.extra ?? [])].join(',')
  })
  await new Promise<void>((resolve, reject) => {
    fuse.open((cause) => {
      if (!cause) return resolve()
      const message = `FUSE does not mount on ${options.mountPoint}: ${cause.message}`
      reject(new ContainerError('MOUNT_FAILED', message, { cause }))
    })
  })
  return {
    async [Symbol.asyncDispose]() {
      // fuse-native would call fusermount, which a bare machine lacks.
      await unmount(options.mountPoint, { lazy: 'if-busy' })
      addon.fuse_native_unmount(options.mountPoint, fuse._thread)
    }
  }
}

/** Answers a read when its buffer is filled: with the count of bytes, or with an errno. */
export async function answerRead(
  filled: Promise<void>,
  count: number,
  done: FuseCallback
): Promise<void> {
  let result = count
  try {
    await filled
  } catch (error) {
    result = fuseErrno(error)
  }
  done(result)
}

async function requireFuseDevice(): Promise<void> {
  try {
    await access('/dev/fuse', 6)
  } catch (cause) {
    throw new ContainerError('MISSING_TOOL', 'this machine has no usable /dev/fuse', {
      hint: 'load the kernel module (modprobe fuse) and run as root',
      cause
    })
  }
}
