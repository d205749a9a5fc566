import { ContainerError, type ErrorCode } from '../../core/errors.ts'
import { errnoName } from './errno.ts'
import { systemCalls } from '../../core/host/system-calls.ts'

/** Flags of mount(2), from linux/mount.h. */
export const MOUNT_FLAG = {
  readOnly: 1,
  noSuid: 2,
  noDev: 4,
  noExec: 8,
  remount: 32,
  noAtime: 1024,
  bind: 4096,
  recursive: 16_384,
  private: 1 << 18
} as const

const MNT_DETACH = 2
const UMOUNT_NOFOLLOW = 8

/** The arguments of mount(2). */
export interface MountCall {
  /** Path of a device, file or directory; `none` where the filesystem takes no source. */
  readonly source: string
  readonly target: string
  /** Filesystem type; empty for bind mounts and remounts. */
  readonly type: string
  /** Sum of {@link MOUNT_FLAG}s. */
  readonly flags: number
  /** Comma-separated options of the filesystem. */
  readonly data: string
}

type AsyncCall = (
  ...args: [...values: (string | number)[], done: (error: unknown, result: number) => void]
) => void

interface LibC {
  readonly mount: AsyncCall
  readonly umount2: AsyncCall
}

let libc: LibC | undefined

function loadLibC(): LibC {
  if (libc === undefined) {
    // The bare name finds glibc; musl calls its library differently.
    const library = loadFirst(['libc.so.6', 'libc.so'])
    const mount = library.func(
      'int mount(const char *, const char *, const char *, unsigned long, const char *)'
    )
    const umount2 = library.func('int umount2(const char *, int)')
    libc = { mount: mount.async as AsyncCall, umount2: umount2.async as AsyncCall }
  }
  return libc
}

function loadFirst(names: readonly string[]): ReturnType<ReturnType<typeof systemCalls>['load']> {
  let cause: unknown
  for (const name of names) {
    try {
      return systemCalls().load(name)
    } catch (error) {
      cause = error
    }
  }
  throw new ContainerError('MISSING_TOOL', 'no C library found to call mount(2) with', { cause })
}

/** Runs a call on another thread, and gives its errno (0 for success). */
async function errnoOf(call: AsyncCall, ...args: (string | number)[]): Promise<number> {
  return new Promise((resolve, reject) => {
    call(...args, (error, result) => {
      // koffi restores the errno of this very call before it calls back.
      if (error) reject(error instanceof Error ? error : new Error('koffi call failed'))
      else resolve(result === 0 ? 0 : systemCalls().errno())
    })
  })
}

/**
 * mount(2), on another thread: the kernel may read the file being mounted from a FUSE server that
 * lives on this one. mount(8) does not do: it takes a loop device for a regular file unasked.
 *
 * @throws ContainerError `NEEDS_ROOT`, `MISSING_TOOL` (the kernel lacks the filesystem),
 *   `NOT_FOUND`, `BUSY`, `MOUNT_FAILED`
 */
export async function mount(call: MountCall): Promise<void> {
  const { source, target, type, flags, data } = call
  const errno = await errnoOf(loadLibC().mount, source, target, type, flags, data)
  if (errno === 0) return
  const what = type === '' ? `mount ${source}` : `mount ${type} ${source}`
  throw mountError(`${what} on ${target}`, errno)
}

/**
 * umount2(2), on another thread. Nothing mounted there is no error: unmounting is idempotent.
 *
 * @param options.lazy detach now, let go when the last user leaves (MNT_DETACH)
 * @returns whether something was unmounted
 * @throws ContainerError `BUSY` unless lazy, `NEEDS_ROOT`, `MOUNT_FAILED`
 */
export async function umount(target: string, options: { lazy?: boolean } = {}): Promise<boolean> {
  const flags = UMOUNT_NOFOLLOW | (options.lazy === true ? MNT_DETACH : 0)
  const errno = await errnoOf(loadLibC().umount2, target, flags)
  const name = errnoName(errno)
  if (errno !== 0 && name !== 'EINVAL' && name !== 'ENOENT') {
    throw mountError(`unmount ${target}`, errno)
  }
  return errno === 0
}

const CODES: Record<string, ErrorCode> = {
  EPERM: 'NEEDS_ROOT',
  EACCES: 'NEEDS_ROOT',
  ENODEV: 'MISSING_TOOL',
  ENOENT: 'NOT_FOUND',
  EBUSY: 'BUSY'
}

function mountError(what: string, errno: number): ContainerError {
  const name = errnoName(errno)
  const cause = Object.assign(new Error(name), { code: name, errno: -errno })
  return new ContainerError(CODES[name] ?? 'MOUNT_FAILED', `${what}: ${name}`, { cause })
}
