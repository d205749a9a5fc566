import { closeSync, constants, fstatSync, openSync, type Stats } from 'node:fs'
import { open, readdir } from 'node:fs/promises'
import { systemErrorCode } from '../../core/errors.ts'
import { checked, kernelCalls } from '../enter/kernel-calls.ts'

const OPENAT2 = 437
const O_PATH = 0o10_000_000
const O_CLOEXEC = 0o2_000_000
/** `..`, absolute symlinks and mount points stay below the directory; links of /proc lead nowhere. */
const RESOLVE_IN_ROOT = 0x10
/** flags, mode and resolve, each of 64 bits. */
const OPEN_HOW_BYTES = 24
/** The kernel gives up where a directory is moved while it follows `..`. */
const MOVED_TRIES = 1000

/**
 * Resolves `path` inside the tree at `root`, as for a process with that root: absolute symlinks and `..` stay
 * inside. The kernel resolves it (openat2(2)), so this holds while the tree changes.
 *
 * @returns undefined when there is nothing
 */
export async function statInRoot(root: string, path: string): Promise<Stats | undefined> {
  return withFileInRoot(root, path, (descriptor) => fstatSync(descriptor))
}

/**
 * Reads a small regular file inside the tree. It never blocks on a fifo or device that the tree's owner put there.
 *
 * @returns undefined when there is none
 */
export async function readTextInRoot(
  root: string,
  path: string,
  limitBytes = 1024 * 1024
): Promise<string | undefined> {
  return withFileInRoot(root, path, async (descriptor) => {
    if (!fstatSync(descriptor).isFile()) return undefined
    // The very file that was looked at.
    const file = await open(`/proc/self/fd/${descriptor}`, constants.O_RDONLY)
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(limitBytes), 0, limitBytes, 0)
      return buffer.toString('utf8', 0, bytesRead)
    } finally {
      await file.close()
    }
  })
}

/** Lists the names in a directory inside the tree. @returns an empty list when there is no such directory */
export async function namesInRoot(root: string, path: string): Promise<string[]> {
  const names = await withFileInRoot(root, path, (descriptor) =>
    fstatSync(descriptor).isDirectory() ? readdir(`/proc/self/fd/${descriptor}`) : []
  )
  return names ?? []
}

/** @param use gets a descriptor that only stands for the file; not called when there is none */
async function withFileInRoot<T>(
  root: string,
  path: string,
  use: (descriptor: number) => T | Promise<T>
): Promise<T | undefined> {
  let descriptor: number | undefined
  try {
    descriptor = openInRoot(root, path)
    return await use(descriptor)
  } catch (error) {
    if (isAbsence(error)) return undefined
    throw error
  } finally {
    if (descriptor !== undefined) closeSync(descriptor)
  }
}

function openInRoot(root: string, path: string): number {
  const { syscall } = kernelCalls()
  const how = Buffer.alloc(OPEN_HOW_BYTES)
  how.writeUInt32LE(O_PATH | O_CLOEXEC)
  how.writeUInt32LE(RESOLVE_IN_ROOT, 16)
  const top = openSync(root, O_PATH | constants.O_DIRECTORY)
  try {
    for (let tries = 1; ; tries++) {
      try {
        const opened = syscall(
          OPENAT2,
          ...['int', top],
          ...['const char *', path || '.'],
          ...(['uint8_t *', how] as const),
          ...['size_t', OPEN_HOW_BYTES]
        )
        return checked(`open ${path} in ${root}`, opened)
      } catch (error) {
        if (systemErrorCode(error) !== 'EAGAIN' || tries === MOVED_TRIES) throw error
      }
    }
  } finally {
    closeSync(top)
  }
}

function isAbsence(error: unknown): boolean {
  const code = systemErrorCode(error) ?? ''
  // EXDEV: a link of /proc. EACCES: a file system that the container mounted for itself.
  return ['ENOENT', 'ENOTDIR', 'ELOOP', 'ESRCH', 'EXDEV', 'EACCES', 'ENAMETOOLONG'].includes(code)
}
