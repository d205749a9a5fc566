import { getSystemErrorName } from 'node:util'
import { errno } from '../../core/host/libc.ts'
import { fromLibC } from '../../core/host/system-calls.ts'

/** System calls by which a container is entered. Negative results come with `errno`. */
interface KernelCalls {
  readonly memfd_create: (name: string, flags: number) => number
  readonly fcntl: (fd: number, command: number, type: 'int', value: number) => number
  readonly syscall: (number: number, ...typed: (string | number | Uint8Array)[]) => number
  readonly ptrace: (
    request: number,
    pid: number,
    address: bigint,
    data: Uint8Array | null
  ) => number
  /** {@link ptrace} whose last argument is a number. */
  readonly ptraceSignal: (request: number, pid: number, address: bigint, signal: number) => number
  readonly waitpid: (pid: number, status: Uint8Array, options: number) => number
  readonly pipe2: (descriptors: Uint8Array, flags: number) => number
  readonly ioctl: (fd: number, request: number, type: string, value: Uint8Array) => number
}

/** The calls of this process's C library. */
export const kernelCalls = fromLibC<KernelCalls>({
  memfd_create: 'int memfd_create(const char *, unsigned int)',
  fcntl: 'int fcntl(int, int, ...)',
  syscall: 'long syscall(long, ...)',
  ptrace: 'long ptrace(int, int, uint64_t, _Inout_ uint8_t *)',
  ptraceSignal: 'long ptrace(int, int, uint64_t, uint64_t)',
  waitpid: 'int waitpid(int, _Out_ uint8_t *, int)',
  pipe2: 'int pipe2(_Out_ uint8_t *, int)',
  ioctl: 'int ioctl(int, unsigned long, ...)'
})

/** Makes an error from the errno of the last system call, in the form that Node.js uses. */
export function callError(what: string): Error & { code: string } {
  const number = errno()
  const code = number === 0 ? 'UNKNOWN' : getSystemErrorName(-number)
  return Object.assign(new Error(`${code}: ${what}`), { code, errno: -number })
}

/**
 * Checks the result of a system call.
 *
 * @returns the result
 * @throws Error with the system's `code` when it is negative
 */
export function checked(what: string, result: number): number {
  if (result < 0) throw callError(what)
  return result
}

const PIDFD_OPEN = 434

/**
 * Opens a descriptor that refers to one process even if its number is reused (pidfd_open(2)).
 *
 * @throws Error with the system's `code`
 */
export function openPidfd(pid: number): number {
  return checked('pidfd_open', kernelCalls().syscall(PIDFD_OPEN, 'int', pid, 'unsigned int', 0))
}
