import { fromLibC } from '../../core/host/system-calls.ts'

/**
 * System calls on /dev/fuse. Not those of node:fs: what is not there yet would be an exception with a
 * stack trace each time, and a blocking read a thread that no exit of the process can end.
 */
export interface FuseSyscalls {
  /** @returns bytes, or -1 with `errno` of `libc.ts` */
  readonly read: (fd: number, target: Uint8Array, bytes: number) => number
  readonly write: (fd: number, source: Uint8Array, bytes: number) => number
}

export const loadFuseSyscalls = fromLibC<FuseSyscalls>({
  read: 'intptr_t read(int, uint8_t *, size_t)',
  write: 'intptr_t write(int, const uint8_t *, size_t)'
})
