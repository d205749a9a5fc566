import { closeSync, constants as fileConstants, openSync } from 'node:fs'
import { constants } from 'node:os'
import { setImmediate } from 'node:timers/promises'
import { ContainerError, systemErrorCode } from '../../core/errors.ts'
import { DescriptorEvents, POLLIN } from '../../core/host/descriptor-events.ts'
import { errno } from '../../core/host/libc.ts'
import { unmount } from '../linux/bind-mount.ts'
import { IN_HEADER_BYTES, NOTIFY, OUT_HEADER_BYTES } from './fuse-protocol.ts'
import { errorAnswer, writeHeader } from './fuse-reply.ts'
import { loadFuseSyscalls } from './fuse-syscalls.ts'
import { mount, MOUNT_FLAG } from '../linux/mount-syscall.ts'

const { EAGAIN, EINTR, ENOENT, ENODEV, EIO } = constants.errno
/** Holds any request of a filesystem that is not written to, and 4,000 inodes to forget. */
const REQUEST_BYTES = 64 * 1024
/** Answered before timers, sockets and content get their turn. */
const REQUESTS_A_TURN = 64
/**
 * How often the device is asked again, some 50 microseconds long, before a thread waits for it. A program
 * mostly asks again after an answer, and waking two threads takes as long as ten answers.
 */
const TRIES = 50

export interface FuseMountOptions {
  /** An existing empty directory. */
  readonly mountPoint: string
  /** Shown as the source of the mount. */
  readonly name: string
  /** Is given every request, as it was read; the memory is used again when it returns. */
  readonly handle: RequestHandler
}

/** What a process that ends leaves to another: the mount stays, and so do requests that wait. */
export interface FuseHeirloom {
  /** Descriptor of /dev/fuse, as the other process has inherited it. */
  readonly device: number
  readonly mountPoint: string
  readonly handle: RequestHandler
}

/** @param send sends a whole answer; one whose asker or filesystem is gone is nobody's loss */
export type RequestHandler = (request: Buffer, send: (answer: Buffer) => void) => void

/**
 * A read-only FUSE filesystem whose requests this thread answers: the kernel's protocol, without a
 * library. One thread of libuv's pool waits for requests; they are read and answered on this one.
 *
 * Disposing unmounts, lazily where busy, and hangs up: what is asked afterwards fails.
 */
export class FuseChannel implements AsyncDisposable {
  readonly #mountPoint: string
  readonly #handle: RequestHandler
  readonly #device: number
  readonly #events: DescriptorEvents
  readonly #request = Buffer.allocUnsafeSlow(REQUEST_BYTES)
  #isClosing = false
  #ended: Promise<void> = Promise.resolve()

  private constructor({ mountPoint, handle, device }: FuseHeirloom) {
    this.#mountPoint = mountPoint
    this.#handle = handle
    this.#device = device
    this.#events = new DescriptorEvents(device, POLLIN)
  }

  /** @throws ContainerError `MISSING_TOOL` (no FUSE in the kernel), `NEEDS_ROOT`, `MOUNT_FAILED` */
  static async mount(options: FuseMountOptions): Promise<FuseChannel> {
    const channel = new FuseChannel({ ...options, device: openDevice() })
    try {
      await mount({
        source: options.name,
        target: options.mountPoint,
        type: 'fuse',
        flags: MOUNT_FLAG.readOnly | MOUNT_FLAG.noSuid | MOUNT_FLAG.noDev,
        // Without default_permissions the kernel would let every user read every file.
        data: `fd=${channel.#device},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions`
      })
    } catch (error) {
      channel.#close()
      throw error
    }
    channel.#begin()
    return channel
  }

  /**
   * Goes on with a filesystem whose server has died, where somebody has kept its device open. What the dead
   * one was asked and has not answered is asked again.
   *
   * @throws ContainerError `MOUNT_FAILED` where this kernel does not ask again
   */
  static takeOver(heirloom: FuseHeirloom): FuseChannel {
    const channel = new FuseChannel(heirloom)
    if (!channel.askAgain()) {
      channel.#close()
      throw new ContainerError('MOUNT_FAILED', 'this kernel cannot hand requests to a successor', {
        hint: 'Linux 6.9 or newer is needed'
      })
    }
    channel.#begin()
    return channel
  }

  #begin(): void {
    // The end of a process waits for the threads of libuv's pool, and this one would wait for ever.
    this.#ended = this.#serve()
  }

  /** Descriptor of /dev/fuse; as long as any process has it open, the filesystem waits for answers. */
  get device(): number {
    return this.#device
  }

  /**
   * Has the kernel ask again for what was asked and not answered.
   *
   * @returns false where it cannot (before Linux 6.9)
   */
  askAgain(): boolean {
    const notification = Buffer.alloc(OUT_HEADER_BYTES)
    writeHeader(notification, 0n, OUT_HEADER_BYTES, NOTIFY.resend)
    return loadFuseSyscalls().write(this.#device, notification, OUT_HEADER_BYTES) >= 0
  }

  /** Resolves when there will be no more requests: disposed of, or unmounted by hand. */
  get ended(): Promise<void> {
    return this.#ended
  }

  readonly #send = (answer: Buffer): void => {
    if (this.#isClosing) return
    const { write } = loadFuseSyscalls()
    if (write(this.#device, answer, answer.length) >= 0) return
    if (isGone(errno())) return
    // An answer that the kernel does not take must not leave its asker waiting.
    write(this.#device, errorAnswer(answer.readBigUInt64LE(8), -EIO), OUT_HEADER_BYTES)
  }

  async #serve(): Promise<void> {
    let triesLeft = TRIES
    for (;;) {
      const answered = this.#answerSome()
      if (answered === 'over') return
      if (answered > 0) triesLeft = TRIES
      if (triesLeft-- > 0) await setImmediate()
      else await this.#events.next()
    }
  }

  /** @returns how many requests there were; `over` when there will be no more */
  #answerSome(): number | 'over' {
    const { read } = loadFuseSyscalls()
    for (let answered = 0; answered < REQUESTS_A_TURN; answered++) {
      if (this.#isClosing) return 'over'
      const bytes = read(this.#device, this.#request, REQUEST_BYTES)
      if (bytes >= 0) this.#handleSafely(this.#request.subarray(0, bytes))
      else if (errno() === EAGAIN) return answered
      // A request that was withdrawn while it was being read is ENOENT.
      else if (errno() !== EINTR && errno() !== ENOENT) return 'over'
    }
    return REQUESTS_A_TURN
  }

  #handleSafely(request: Buffer): void {
    try {
      this.#handle(request, this.#send)
    } catch {
      if (request.length < IN_HEADER_BYTES) return
      this.#send(errorAnswer(request.readBigUInt64LE(8), -EIO))
    }
  }

  #close(): void {
    this.#isClosing = true
    closeSync(this.#device)
    this.#events[Symbol.dispose]()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosing) return
    try {
      await unmount(this.#mountPoint, { lazy: 'if-busy' })
    } finally {
      this.#isClosing = true
      this.#events.wake()
      await this.#ended
      this.#close()
    }
  }
}

/**
 * Mounts what `server` answers for, and returns when the kernel has shaken hands with it.
 *
 * @throws ContainerError as {@link FuseChannel.mount}
 */
export async function mountAgreed(
  options: Omit<FuseMountOptions, 'handle'>,
  server: { readonly agreed: Promise<void>; readonly handle: RequestHandler }
): Promise<FuseChannel> {
  const { mountPoint } = options
  const channel = await FuseChannel.mount({
    ...options,
    handle: (request, send) => server.handle(request, send)
  })
  const ended = channel.ended.then(() => {
    throw new ContainerError('MOUNT_FAILED', `${mountPoint} was unmounted while it was mounted`)
  })
  try {
    await Promise.race([server.agreed, ended])
  } catch (error) {
    await channel[Symbol.asyncDispose]()
    throw error
  }
  ended.catch(() => {})
  return channel
}

function isGone(error: number): boolean {
  return error === ENOENT || error === ENODEV
}

function openDevice(): number {
  const { O_RDWR, O_NONBLOCK } = fileConstants
  try {
    // Node.js adds O_CLOEXEC: no program started from here keeps the filesystem alive.
    return openSync('/dev/fuse', O_RDWR | O_NONBLOCK)
  } catch (cause) {
    const code = systemErrorCode(cause) ?? 'unknown error'
    throw new ContainerError('MISSING_TOOL', `this machine has no usable /dev/fuse (${code})`, {
      hint: 'load the kernel module (modprobe fuse) and run as root',
      cause
    })
  }
}
