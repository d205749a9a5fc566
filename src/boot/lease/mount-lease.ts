import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ImageNews } from '../../session/connection/image-session.ts'
import type { MountMode } from '../../fuse/content/mounted-image.ts'
import type { BootProfile } from '../../image/format/boot-profile.ts'
import { openHome } from '../../home/home.ts'
import { ContainerError, systemErrorCode } from '../../core/errors.ts'
import { lackHint } from '../../doctor/lack-hint.ts'
import { requireSecret } from '../../p2p/link.ts'
import { fromRecord } from '../../core/error-record.ts'
import { readJsonLines, writeJsonLine } from '../../core/json-lines.ts'
import type { Interval } from '../state/intervals.ts'
import type { MountTrace } from './mount-trace.ts'
import type {
  BindPowers,
  ContainerReady,
  MounterMethods,
  MountFacts,
  MountStats,
  WireResponse
} from './mounter-protocol.ts'
import { bootPaths } from '../state/paths.ts'
import { StartingMounter, type MounterAhead, type StartMounterOptions } from './starting-mounter.ts'

export interface AcquireMountOptions extends StartMounterOptions {
  readonly signal?: AbortSignal
  /** A mounter of this very image and mode that was started ahead. */
  readonly started?: MounterAhead
  readonly onNews?: (news: ImageNews) => void
}

/** A mounter may be going down just as we come: that often a new one is tried. */
const ATTEMPTS = 8
const RETRY_MS = 60
/** How often the successor of a mounter that has died is looked for. */
const REJOIN_MS = 200

/**
 * A lease on a mounted image. The image stays mounted until the lease is disposed of or its process ends. If the
 * mounter dies and a successor takes over, the lease moves to the successor; requests under way at that moment
 * fail.
 */
export class MountLease implements AsyncDisposable {
  readonly #waiting = new Map<number, (response: WireResponse) => void>()
  readonly socketPath: string
  #socket: Socket
  #nextId = 1
  #facts: MountFacts | undefined
  #isDisposed = false

  private constructor(socket: Socket, socketPath: string) {
    this.#socket = socket
    this.socketPath = socketPath
    void this.#receive(socket)
  }

  /** A lease of the mounter at `socketPath`; undefined when nobody listens there. */
  static async connect(socketPath: string): Promise<MountLease | undefined> {
    const socket = await connectTo(socketPath)
    return socket && new MountLease(socket, socketPath)
  }

  /** Waits until the image is mounted. @throws ContainerError why it could not be */
  async mounted(signal?: AbortSignal): Promise<MountFacts> {
    this.#facts = await this.#request('mount', null, signal)
    return this.#facts
  }

  get facts(): MountFacts {
    if (this.#facts === undefined) throw new TypeError('not mounted yet')
    return this.#facts
  }

  get rootfs(): string {
    return this.facts.rootfs
  }

  get mode(): MountMode {
    return this.facts.mode
  }

  async stats(): Promise<MountStats> {
    return this.#request('stats', null)
  }

  /** Tells the mounter that the container is up. */
  async ready(ready: ContainerReady): Promise<void> {
    await this.#request('ready', ready)
  }

  /** Reports what the mounter did, and which reads waited, between two times. */
  async trace(within: Interval): Promise<MountTrace> {
    return this.#request('trace', { within })
  }

  /** Whether this is the first lease, so that a recording is of its holder's start alone. */
  async claimRecording(): Promise<boolean> {
    return this.#request('claimRecording', null)
  }

  /**
   * Ends the recording; `keep` makes it the home's profile.
   *
   * @throws ContainerError `DISK_FULL`, `IO`, `MOUNT_FAILED`
   */
  async endRecording(options: { readonly keep: boolean }): Promise<BootProfile> {
    return this.#request('endRecording', options)
  }

  /** Shows the image at `target`, an empty directory; it stays when this lease has ended. */
  async bind(target: string, powers: BindPowers = {}): Promise<void> {
    await this.#request('bind', { target, ...powers })
  }

  async unbind(target: string): Promise<void> {
    await this.#request('unbind', { target })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDisposed = true
    const socket = this.#socket
    const closed = socket.closed ? undefined : once(socket, 'close')
    socket.destroy()
    await closed
  }

  async #receive(socket: Socket): Promise<void> {
    try {
      for await (const response of readJsonLines(socket)) {
        const { id } = response as WireResponse
        this.#waiting.get(id)?.(response as WireResponse)
        this.#waiting.delete(id)
      }
    } catch {
      // Treated like the end of the stream.
    }
    socket.destroy()
    const error = { code: 'MOUNT_FAILED', message: 'the mounter process has ended' } as const
    for (const [id, settle] of this.#waiting) settle({ id, error })
    this.#waiting.clear()
    if (this.#facts !== undefined) await this.#rejoin()
  }

  /** The mount of a mounter that has died goes on only as long as somebody leases it. */
  async #rejoin(): Promise<void> {
    while (!this.#isDisposed) {
      const socket = await connectTo(this.socketPath).catch(() => undefined)
      if (socket !== undefined) {
        if (this.#isDisposed) socket.destroy()
        else {
          this.#socket = socket
          void this.#receive(socket)
        }
        return
      }
      await sleep(REJOIN_MS, undefined, { ref: false })
    }
  }

  async #request<M extends keyof MounterMethods>(
    method: M,
    params: MounterMethods[M]['params'],
    signal?: AbortSignal
  ): Promise<MounterMethods[M]['result']> {
    const id = this.#nextId++
    const response = await new Promise<WireResponse>((resolve, reject) => {
      const cancel = (): void => {
        this.#waiting.delete(id)
        reject(cancelled())
      }
      if (signal?.aborted === true) return cancel()
      signal?.addEventListener('abort', cancel, { once: true })
      this.#waiting.set(id, (answer) => {
        signal?.removeEventListener('abort', cancel)
        resolve(answer)
      })
      if (this.#socket.destroyed) {
        this.#waiting.delete(id)
        reject(new ContainerError('MOUNT_FAILED', 'the mounter process has ended'))
      } else writeJsonLine(this.#socket, { id, method, params })
    })
    if ('error' in response) throw fromRecord(response.error)
    return response.result as MounterMethods[M]['result']
  }
}

/** @returns undefined when nobody listens there */
async function connectTo(socketPath: string): Promise<Socket | undefined> {
  const socket = connect(socketPath)
  try {
    await once(socket, 'connect')
    return socket
  } catch (error) {
    if (['ENOENT', 'ECONNREFUSED'].includes(systemErrorCode(error) ?? '')) return undefined
    throw error
  }
}

/**
 * Mounts the image of `link`, or joins an existing mount: one mounter process serves all users of the same version
 * and mode. The options `onPeerLoss`, `lazyOnly` and `offline` of the first user apply to all.
 *
 * @throws ContainerError what opening and mounting throw, `CANCELLED`
 */
export async function acquireMount(options: AcquireMountOptions): Promise<MountLease> {
  const { signal, started, onNews, ...start } = options
  // A mirror link is refused before a process is started for it.
  if (options.link.link) requireSecret(options.link.link)
  bootPaths(options.home)
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    if (signal?.aborted === true) throw cancelled()
    const ahead = attempt === 1 ? started : undefined
    const mounter = ahead ?? new StartingMounter(start)
    const socketPath = await mounter.socket(signal)
    const lease = await MountLease.connect(socketPath)
    if (lease === undefined) {
      await sleep(RETRY_MS)
      continue
    }
    try {
      await lease.mounted(signal)
      if (mounter.news) onNews?.(mounter.news)
      return lease
    } catch (error) {
      await lease[Symbol.asyncDispose]()
      throw error
    }
  }
  throw new ContainerError('MOUNT_FAILED', 'the mounters of this image keep crashing', {
    hint:
      (await lackHint()) ??
      `their last messages are in the daemon’s log: ${openHome(options.home).daemonLog}`
  })
}

function cancelled(): ContainerError {
  return new ContainerError('CANCELLED', 'cancelled while the image was being mounted')
}
