import koffi from 'koffi'

/**
 * System calls that Node.js lacks and the tests need. All of them block, so call them only on what
 * another process serves.
 */
const libc = koffi.load('libc.so.6')

const call = {
  mknod: libc.func('int mknod(const char *, unsigned int, unsigned long)'),
  lsetxattr: libc.func('int lsetxattr(const char *, const char *, const uint8_t *, size_t, int)'),
  lgetxattr: libc.func(
    'int64_t lgetxattr(const char *, const char *, _Out_ uint8_t *value, size_t)'
  ),
  llistxattr: libc.func('int64_t llistxattr(const char *, _Out_ uint8_t *list, size_t)'),
  lremovexattr: libc.func('int lremovexattr(const char *, const char *)'),
  renameat2: libc.func('int renameat2(int, const char *, int, const char *, unsigned int)'),
  utimensat: libc.func('int utimensat(int, const char *, const uint8_t *, int)'),
  lseek: libc.func('int64_t lseek(int, int64_t, int)'),
  mmap: libc.func('void *mmap(void *, size_t, int, int, int, int64_t)'),
  munmap: libc.func('int munmap(void *, size_t)')
}

export const SEEK_DATA = 3
export const SEEK_HOLE = 4

/** The call's result, or its negative errno. */
function outcome(result: number | bigint): number {
  return Number(result) < 0 ? -koffi.errno() : Number(result)
}

function must(result: number | bigint): number {
  const value = outcome(result)
  if (value < 0) throw new Error(`system call failed: errno ${-value}`)
  return value
}

export function mknod(path: string, mode: number, device = 0): void {
  must(call.mknod(path, mode, device))
}

/** @param flags 1 where it must not be there yet, 2 where it must */
export function setXattr(path: string, name: string, value: Uint8Array, flags = 0): void {
  must(call.lsetxattr(path, name, value, value.length, flags))
}

/** @param flags 1: nothing is replaced; 2: both change places */
export function renameWithFlags(from: string, to: string, flags: number): void {
  const AT_FDCWD = -100
  must(call.renameat2(AT_FDCWD, from, AT_FDCWD, to, flags))
}

/** Nanoseconds of {@link setTimes} that mean the time it is, and no change. */
export const UTIME_NOW = 0x3fff_ffff
export const UTIME_OMIT = 0x3fff_fffe

/** utimensat(2), symlinks not followed; each time is seconds and nanoseconds. */
export function setTimes(path: string, atime: [number, number], mtime: [number, number]): void {
  const AT_FDCWD = -100
  const AT_SYMLINK_NOFOLLOW = 0x100
  const times = new BigInt64Array([...atime, ...mtime].map(BigInt))
  must(call.utimensat(AT_FDCWD, path, new Uint8Array(times.buffer), AT_SYMLINK_NOFOLLOW))
}

export function removeXattr(path: string, name: string): void {
  must(call.lremovexattr(path, name))
}

/** @returns bytes, or a negative errno; a `size` of 0 asks for the length */
export function getXattrInto(path: string, name: string, target: Uint8Array): number {
  return outcome(call.lgetxattr(path, name, target, target.length))
}

export function getXattr(path: string, name: string): Buffer {
  const value = Buffer.alloc(65_536)
  return value.subarray(0, must(call.lgetxattr(path, name, value, value.length)))
}

export function listXattrsInto(path: string, target: Uint8Array): number {
  return outcome(call.llistxattr(path, target, target.length))
}

export function listXattrs(path: string): string[] {
  const list = Buffer.alloc(65_536)
  const text = list.toString('latin1', 0, must(call.llistxattr(path, list, list.length)))
  return text.split('\0').filter(Boolean).sort()
}

/** @returns the offset, or a negative errno */
export function seek(fd: number, offset: number, whence: number): number {
  return outcome(call.lseek(fd, offset, whence))
}

/** The first `bytes` bytes of an open file, read through a private mapping. */
export function readMapped(fd: number, bytes: number): Buffer {
  const PROT_READ = 1
  const MAP_PRIVATE = 2
  const address: unknown = call.mmap(null, bytes, PROT_READ, MAP_PRIVATE, fd, 0)
  const content = Buffer.from(koffi.decode(address, 'uint8_t', bytes) as Uint8Array)
  call.munmap(address, bytes)
  return content
}
