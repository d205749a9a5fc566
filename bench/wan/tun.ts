import { closeSync, constants, openSync } from 'node:fs'
import koffi from 'koffi'

/** `ioctl(2)` request and flags of linux/if_tun.h; offsets in `struct ifreq` of linux/if.h. */
const TUNSETIFF = 0x4004_54ca
const IFF_TUN = 0x0001
const IFF_NO_PI = 0x1000
const IFREQ_BYTES = 40
const IFREQ_FLAGS = 16
const NAME_MAX = 15

const POLLIN = 1
const POLLFD_BYTES = 8
const NANOSECONDS = 1_000_000_000n

interface Calls {
  ioctl(fd: number, request: number, argument: Uint8Array): number
  read(fd: number, into: Uint8Array, bytes: number): number
  write(fd: number, from: Uint8Array, bytes: number): number
  ppoll(fds: Uint8Array | null, count: number, timeout: BigInt64Array | null, mask: null): number
}

let calls: Calls | undefined

function libc(): Calls {
  if (calls === undefined) {
    const self = koffi.load(null)
    calls = {
      ioctl: self.func('int ioctl(int, unsigned long, uint8_t *)'),
      read: self.func('intptr_t read(int, uint8_t *, size_t)'),
      write: self.func('intptr_t write(int, const uint8_t *, size_t)'),
      ppoll: self.func('int ppoll(uint8_t *, unsigned long, int64_t *, void *)')
    } as unknown as Calls
  }
  return calls
}

/** Network devices whose packets this process carries. They go with the process. */
export class Tun implements Disposable {
  readonly fd: number

  /**
   * Makes the device in the network namespace of this process. It keeps working from here when it is
   * moved to another one.
   */
  constructor(name: string) {
    if (Buffer.byteLength(name) > NAME_MAX) throw new RangeError(`device name too long: ${name}`)
    this.fd = openSync('/dev/net/tun', constants.O_RDWR | constants.O_NONBLOCK)
    const request = Buffer.alloc(IFREQ_BYTES)
    request.write(name)
    request.writeUInt16LE(IFF_TUN | IFF_NO_PI, IFREQ_FLAGS)
    if (libc().ioctl(this.fd, TUNSETIFF, request) !== 0) {
      const errno = koffi.errno()
      closeSync(this.fd)
      throw new Error(`TUNSETIFF ${name}: errno ${errno}`)
    }
  }

  /** @returns bytes of the packet that was read; negative when none waits */
  read(into: Uint8Array): number {
    return libc().read(this.fd, into, into.length)
  }

  /** @returns negative when the device is down or full: the packet is gone, as on a real link */
  write(packet: Uint8Array, bytes: number): number {
    return libc().write(this.fd, packet, bytes)
  }

  [Symbol.dispose](): void {
    closeSync(this.fd)
  }
}

/** Waits, with nothing else running on this thread, for one of several files to become readable. */
export class Poller {
  readonly #table: Buffer
  readonly #timeout = new BigInt64Array(2)

  constructor(fds: readonly number[]) {
    this.#table = Buffer.alloc(fds.length * POLLFD_BYTES)
    for (const [n, fd] of fds.entries()) {
      this.#table.writeInt32LE(fd, n * POLLFD_BYTES)
      this.#table.writeInt16LE(POLLIN, n * POLLFD_BYTES + 4)
    }
  }

  /** @param timeoutNs undefined waits for ever */
  wait(timeoutNs: bigint | undefined): void {
    const count = this.#table.length / POLLFD_BYTES
    libc().ppoll(this.#table, count, this.#until(timeoutNs), null)
  }

  /** Sleeps, whatever becomes readable. */
  pause(ns: bigint): void {
    libc().ppoll(null, 0, this.#until(ns), null)
  }

  /** Whether the nth file was readable, or closed at its other end, when {@link wait} returned. */
  ready(n: number): boolean {
    return this.#table.readInt16LE(n * POLLFD_BYTES + 6) !== 0
  }

  #until(ns: bigint | undefined): BigInt64Array | null {
    if (ns === undefined) return null
    this.#timeout[0] = ns / NANOSECONDS
    this.#timeout[1] = ns % NANOSECONDS
    return this.#timeout
  }
}
