import { closeSync } from 'node:fs'
import { constants } from 'node:os'
import { DescriptorEvents, POLLIN } from './descriptor-events.ts'
import { errno } from './libc.ts'
import { fromLibC } from './system-calls.ts'

/** pidfd_open(2) has the same number on all architectures. */
const PIDFD_OPEN = 434

const loadCalls = fromLibC<{ syscall(number: number, pid: number, flags: number): number }>({
  syscall: 'long syscall(long, long, long)'
})

/** Waits for the end of a process that need not be a child. Disposing ends the wait. */
export class ProcessExit implements Disposable {
  readonly #pidfd: number
  readonly #events: DescriptorEvents | undefined
  #isDisposed = false

  /**
   * @param pid of a process that is there, or was
   * @param onExit called once, when it has ended; never after disposal
   */
  constructor(pid: number, onExit: () => void) {
    this.#pidfd = loadCalls().syscall(PIDFD_OPEN, pid, 0)
    if (this.#pidfd < 0) {
      if (errno() !== constants.errno.ESRCH) throw new Error(`pidfd_open of ${pid} failed`)
      queueMicrotask(() => !this.#isDisposed && onExit())
      return
    }
    this.#events = new DescriptorEvents(this.#pidfd, POLLIN)
    void this.#events.next().then(() => !this.#isDisposed && onExit())
  }

  [Symbol.dispose](): void {
    if (this.#isDisposed) return
    this.#isDisposed = true
    this.#events?.[Symbol.dispose]()
    if (this.#pidfd >= 0) closeSync(this.#pidfd)
  }
}
