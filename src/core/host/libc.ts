import { getSystemErrorName } from 'node:util'
import { fromLibC, systemCalls } from './system-calls.ts'

/** System calls that Node has no binding for. Negative results come with {@link errno}. */
export interface LibC {
  /** Names of a path's extended attributes, each ended by NUL; the path must end in NUL. */
  llistxattr(path: Uint8Array, list: Uint8Array, bytes: number): number
  /** {@link llistxattr} that only tells how long the names are: `list` is null, `bytes` 0. */
  llistxattrLength(path: Uint8Array, list: null, bytes: 0): number
  lgetxattr(path: Uint8Array, name: Uint8Array, value: Uint8Array, bytes: number): number
  lsetxattr(
    path: Uint8Array,
    name: Uint8Array,
    value: Uint8Array,
    bytes: number,
    flags: number
  ): number
  /** `times`: atime and mtime, each two 64-bit words, seconds and nanoseconds. */
  utimensat(directory: number, path: Uint8Array, times: Uint8Array, flags: number): number
  lseek(fd: number, offset: number, whence: number): number
  /** The path must end in NUL; `status` is a `struct statx`. */
  statx(
    directory: number,
    path: Uint8Array,
    flags: number,
    mask: number,
    status: Uint8Array
  ): number
}

/** The C library of this process, whichever it is. */
export const loadLibC = fromLibC<LibC>({
  llistxattr: 'intptr_t llistxattr(const uint8_t *, _Out_ uint8_t *, size_t)',
  llistxattrLength: 'intptr_t llistxattr(const uint8_t *, void *, size_t)',
  lgetxattr: 'intptr_t lgetxattr(const uint8_t *, const uint8_t *, _Out_ uint8_t *, size_t)',
  lsetxattr: 'int lsetxattr(const uint8_t *, const uint8_t *, const uint8_t *, size_t, int)',
  utimensat: 'int utimensat(int, const uint8_t *, const uint8_t *, int)',
  lseek: 'int64_t lseek(int, int64_t, int)',
  statx: 'int statx(int, const uint8_t *, int, unsigned int, _Out_ uint8_t *)'
})

/** The error number of the last call on this thread. */
export function errno(): number {
  return systemCalls().errno()
}

/** The last call's failure on this thread as Node.js tells of its own. @param path ends with NUL */
export function systemError(call: string, path: Uint8Array): Error {
  const number = errno()
  const code = getSystemErrorName(-number)
  return Object.assign(new Error(`${code}: ${call} '${pathText(path)}'`), { code, errno: -number })
}

/** A path for people to read. @param path ends with NUL */
export function pathText(path: Uint8Array): string {
  return Buffer.from(path.subarray(0, path.indexOf(0))).toString()
}
