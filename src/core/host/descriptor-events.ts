import { closeSync, writeSync } from 'node:fs'
import { systemCalls } from './system-calls.ts'

/** Numbers of poll(2), the same on all Linux. */
export const POLLIN = 0x1
/** An exceptional condition: of /proc/self/mountinfo, that what is mounted has changed. */
export const POLLPRI = 0x2
const EFD_CLOEXEC = 0o2000000

interface Calls {
  readonly eventfd: (value: number, flags: number) => number
  /** On another thread; the memory has to stay where it is. */
  readonly poll: (
    descriptors: Uint8Array,
    count: number,
    timeoutMs: number,
    done: (error: unknown, result: number) => void
  ) => void
}

let calls: Calls | undefined

function load(): Calls {
  if (calls === undefined) {
    const self = systemCalls().load(null)
    calls = {
      eventfd: self.func('int eventfd(unsigned int, int)') as Calls['eventfd'],
      poll: self.func('int poll(uint8_t *, unsigned long, int)').async as Calls['poll']
    }
  }
  return calls
}

/**
 * Waits in the kernel for what happens to a descriptor that Node.js has no handle for. A thread of libuv's waits, so
 * a process has few of these; until it is disposed of, a wait keeps the process alive. The descriptor stays the caller's.
 */
export class DescriptorEvents implements Disposable {
  /** Two `struct pollfd`: the descriptor, and what wakes the thread that waits. */
  readonly #polled = Buffer.from(new ArrayBuffer(16))
  readonly #wakeUp: number
  #waiting: Promise<void> | undefined
  #isDisposed = false

  /** @param events {@link POLLIN}, {@link POLLPRI} */
  constructor(fd: number, events: number) {
    // No exit of the process ends a thread that waits.
    process.on('exit', this.wake)
    this.#wakeUp = load().eventfd(0, EFD_CLOEXEC)
    for (const [index, [descriptor, wanted]] of [
      [fd, events] as const,
      [this.#wakeUp, POLLIN] as const
    ].entries()) {
      this.#polled.writeInt32LE(descriptor, 8 * index)
      this.#polled.writeInt16LE(wanted, 8 * index + 4)
    }
  }

  /** Resolves when something has happened, this was woken or disposed of: looking tells. */
  next(): Promise<void> {
    if (this.#isDisposed) return Promise.resolve()
    this.#waiting ??= new Promise((resolve) => {
      load().poll(this.#polled, 2, -1, () => {
        this.#waiting = undefined
        if (this.#isDisposed) closeSync(this.#wakeUp)
        resolve()
      })
    })
    return this.#waiting
  }

  /** Ends the wait that is under way; from then on none waits. */
  readonly wake = (): void => {
    if (this.#isDisposed) return
    const one = Buffer.alloc(8)
    one.writeUInt8(1)
    writeSync(this.#wakeUp, one)
  };

  [Symbol.dispose](): void {
    if (this.#isDisposed) return
    this.wake()
    process.off('exit', this.wake)
    this.#isDisposed = true
    if (this.#waiting === undefined) closeSync(this.#wakeUp)
  }
}
