import { systemCalls } from '../../core/host/system-calls.ts'

type PollCall = (
  descriptors: Uint8Array,
  count: number,
  timeoutMs: number,
  done: (error: unknown, result: number) => void
) => void

/**
 * System calls on /dev/fuse. Not those of node:fs: what is not there yet would be an exception with a
 * stack trace each time, and a blocking read a thread that no exit of the process can end.
 */
export interface FuseSyscalls {
  /** @returns bytes, or -1 with `errno` of `libc.ts` */
  readonly read: (fd: number, target: Uint8Array, bytes: number) => number
  readonly write: (fd: number, source: Uint8Array, bytes: number) => number
  readonly eventfd: (value: number, flags: number) => number
  /** poll(2) on another thread; the memory has to stay where it is. */
  readonly poll: PollCall
}

let calls: FuseSyscalls | undefined

export function loadFuseSyscalls(): FuseSyscalls {
  if (calls === undefined) {
    const self = systemCalls().load(null)
    const poll = self.func('int poll(uint8_t *, unsigned long, int)')
    calls = {
      read: self.func('intptr_t read(int, uint8_t *, size_t)'),
      write: self.func('intptr_t write(int, const uint8_t *, size_t)'),
      eventfd: self.func('int eventfd(unsigned int, int)'),
      poll: poll.async as PollCall
    } as unknown as FuseSyscalls
  }
  return calls
}
