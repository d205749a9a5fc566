import { rmSync } from 'node:fs'
import { DescriptorEvents, POLLIN } from '../../core/host/descriptor-events.ts'
import { systemError } from '../../core/host/libc.ts'
import { fromLibC, systemCalls } from '../../core/host/system-calls.ts'

/** A datagram, and the process that the kernel says it comes from. */
export interface Notification {
  readonly pid: number
  /** Lines `NAME=value`, as sd_notify(3) has them. */
  readonly text: string
}

// Linux's numbers, the same on x86-64 and arm64.
const AF_UNIX = 1
const SOCK_DGRAM = 2
const SOCK_CLOEXEC = 0o2000000
const SOL_SOCKET = 1
const SO_PASSCRED = 16
const SCM_CREDENTIALS = 2
const MSG_DONTWAIT = 0x40

const NAME_BYTES = 108
const TEXT_BYTES = 8192
/** Room for who sent it, and none for descriptors, which would be ours to close. */
const CONTROL_BYTES = 32
/** `struct cmsghdr` on 64 bits: length, level, type; a process id follows first in SCM_CREDENTIALS. */
const CONTROL = { level: 8, type: 12, pid: 16, needed: 20 } as const
/** `struct msghdr` on 64 bits. */
const HEADER = { iov: 16, iovCount: 24, control: 32, controlBytes: 40, bytes: 56 } as const
/** A sender waits while the queue is full, so that there is always an end to it. */
const HIGHEST_AT_ONCE = 1000

interface LibC {
  socket(domain: number, type: number, protocol: number): number
  bind(fd: number, address: Uint8Array, bytes: number): number
  setsockopt(fd: number, level: number, option: number, value: Uint8Array, bytes: number): number
  recvmsg(fd: number, header: Uint8Array, flags: number): number
  close(fd: number): number
}

const loadLibC = fromLibC<LibC>({
  socket: 'int socket(int, int, int)',
  bind: 'int bind(int, const uint8_t *, unsigned int)',
  setsockopt: 'int setsockopt(int, int, int, const uint8_t *, unsigned int)',
  recvmsg: 'intptr_t recvmsg(int, _Inout_ uint8_t *, int)',
  close: 'int close(int)'
})

/**
 * The receiving end of sd_notify(3): a unix datagram socket, which Node.js does not support. {@link arrival} waits
 * in the kernel; {@link receive} reads the waiting messages.
 */
export class NotifySocket implements Disposable {
  readonly path: string
  readonly #fd: number
  readonly #text: Memory = allocate(TEXT_BYTES)
  readonly #control: Memory = allocate(CONTROL_BYTES)
  readonly #vector: Memory = allocate(16)
  #arrivals: DescriptorEvents | undefined
  #isOpen = true

  private constructor(path: string, fd: number) {
    this.path = path
    this.#fd = fd
    const vector = new DataView(this.#vector.bytes.buffer)
    vector.setBigUint64(0, this.#text.address, true)
    vector.setBigUint64(8, BigInt(TEXT_BYTES), true)
  }

  /**
   * Makes the socket at `path`, in place of whatever is there.
   *
   * @param path of 107 bytes at most, in a directory that is ours alone
   * @throws the system's error
   */
  static open(path: string): NotifySocket {
    const library = loadLibC()
    const name = Buffer.from(`${path}\0`)
    const address = Buffer.alloc(2 + NAME_BYTES)
    address.writeUInt16LE(AF_UNIX)
    if (name.copy(address, 2) < name.length) throw new Error(`the path ${path} is too long`)
    rmSync(path, { force: true })
    const fd = library.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)
    if (fd < 0) throw systemError('socket', name)
    // Before it has a name, so that no message comes without its sender.
    const on = Buffer.from([1, 0, 0, 0])
    const isReady =
      library.setsockopt(fd, SOL_SOCKET, SO_PASSCRED, on, on.length) === 0 &&
      library.bind(fd, address, 2 + name.length) === 0
    if (!isReady) {
      const error = systemError('bind', name)
      library.close(fd)
      throw error
    }
    return new NotifySocket(path, fd)
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  /** Resolves when there is something to receive, or the socket is closed. */
  arrival(): Promise<void> {
    if (!this.#isOpen) return Promise.resolve()
    this.#arrivals ??= new DescriptorEvents(this.#fd, POLLIN)
    return this.#arrivals.next()
  }

  /** Reads the messages since the last call. A message from an unknown sender has the process id 0. */
  receive(): Notification[] {
    const received: Notification[] = []
    while (this.#isOpen && received.length < HIGHEST_AT_ONCE) {
      const header = this.#header()
      const bytes = loadLibC().recvmsg(this.#fd, header, MSG_DONTWAIT)
      if (bytes < 0) break
      const pid = this.#sender(Number(header.readBigUInt64LE(HEADER.controlBytes)))
      const text = Buffer.from(this.#text.bytes.subarray(0, bytes)).toString()
      received.push({ pid, text })
    }
    return received
  }

  /** Takes the file away too. */
  [Symbol.dispose](): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    this.#arrivals?.[Symbol.dispose]()
    loadLibC().close(this.#fd)
    for (const { pointer } of [this.#text, this.#control, this.#vector]) systemCalls().free(pointer)
    rmSync(this.path, { force: true })
  }

  #header(): Buffer {
    const header = Buffer.alloc(HEADER.bytes)
    header.writeBigUInt64LE(this.#vector.address, HEADER.iov)
    header.writeBigUInt64LE(1n, HEADER.iovCount)
    header.writeBigUInt64LE(this.#control.address, HEADER.control)
    header.writeBigUInt64LE(BigInt(CONTROL_BYTES), HEADER.controlBytes)
    return header
  }

  /** 0 when the kernel named nobody: no process has that id. */
  #sender(controlBytes: number): number {
    if (controlBytes < CONTROL.needed) return 0
    const control = new DataView(this.#control.bytes.buffer)
    const isCredentials =
      control.getInt32(CONTROL.level, true) === SOL_SOCKET &&
      control.getInt32(CONTROL.type, true) === SCM_CREDENTIALS
    return isCredentials ? control.getInt32(CONTROL.pid, true) : 0
  }
}

/** Memory that stays where it is while the kernel is told where that is. */
interface Memory {
  readonly pointer: unknown
  readonly address: bigint
  readonly bytes: Uint8Array
}

function allocate(bytes: number): Memory {
  const pointer: unknown = systemCalls().alloc('uint8_t', bytes)
  return {
    pointer,
    address: systemCalls().address(pointer),
    bytes: new Uint8Array(systemCalls().view(pointer, bytes))
  }
}
