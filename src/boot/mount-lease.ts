import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { ImageStats, OpenImageOptions } from '../daemon/image-session.ts'
import type { MountMode } from '../fuse/mounted-image.ts'
import { ContainerError, systemErrorCode } from '../image/errors.ts'
import { looksLikeLink, parseFullLink } from '../p2p/link.ts'
import { fromRecord } from './error-record.ts'
import { readJsonLines, writeJsonLine } from './json-lines.ts'
import type {
  MounterGreeting,
  MounterMethods,
  MounterRequest,
  MountFacts,
  WireResponse
} from './mounter-protocol.ts'
import { bootPaths } from './paths.ts'
import { spawnService } from './service-process.ts'

export interface AcquireMountOptions extends OpenImageOptions {
  /** `auto` takes `erofs` where the kernel has it. @default 'auto' */
  readonly mode?: MountMode | 'auto'
  /** The program that mounts. @default the one beside this module */
  readonly mounterScript?: string
}

const MOUNTER_SCRIPT = fileURLToPath(new URL('mounter-main.js', import.meta.url))
/** A mounter may be going down just as we come: that often a new one is tried. */
const ATTEMPTS = 8
const RETRY_MS = 60

/** Keeps an image mounted as long as it is open: disposing, or dying, gives the mount up. */
export class MountLease implements AsyncDisposable {
  readonly #socket: Socket
  readonly #waiting = new Map<number, (response: WireResponse) => void>()
  readonly closed: Promise<void>
  readonly socketPath: string
  #nextId = 1
  #facts: MountFacts | undefined

  private constructor(socket: Socket, socketPath: string) {
    this.#socket = socket
    this.socketPath = socketPath
    this.closed = new Promise((resolve) => socket.once('close', () => resolve()))
    void this.#receive()
  }

  /** A lease of the mounter at `socketPath`; undefined when nobody listens there. */
  static async connect(socketPath: string): Promise<MountLease | undefined> {
    const socket = connect(socketPath)
    try {
      await once(socket, 'connect')
    } catch (error) {
      if (['ENOENT', 'ECONNREFUSED'].includes(systemErrorCode(error) ?? '')) return undefined
      throw error
    }
    return new MountLease(socket, socketPath)
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

  async stats(): Promise<ImageStats> {
    return this.#request('stats', null)
  }

  /** Shows the image at `target`, an empty directory; it stays when this lease has ended. */
  async bind(target: string): Promise<void> {
    await this.#request('bind', { target })
  }

  async unbind(target: string): Promise<void> {
    await this.#request('unbind', { target })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.destroy()
    await this.closed
  }

  async #receive(): Promise<void> {
    try {
      for await (const response of readJsonLines(this.#socket)) {
        const { id } = response as WireResponse
        this.#waiting.get(id)?.(response as WireResponse)
        this.#waiting.delete(id)
      }
    } catch {
      this.#socket.destroy()
    }
    await this.closed
    const error = { code: 'MOUNT_FAILED', message: 'the mounter process has ended' } as const
    for (const [id, settle] of this.#waiting) settle({ id, error })
    this.#waiting.clear()
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

/**
 * Mounts the image of `link`, or joins those who have it mounted: one mounter process serves all who
 * want the same version in the same mode. The policies of the first one (`onPeerLoss`, `lazyOnly`,
 * `offline`) are the mounter's.
 *
 * @throws ContainerError whatever opening and mounting throw, `CANCELLED`
 */
export async function acquireMount(options: AcquireMountOptions): Promise<MountLease> {
  // Refused before a process is started for it. What is no link is the name of an image.
  if (looksLikeLink(options.link)) parseFullLink(options.link)
  bootPaths(options.home)
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const socketPath = await startMounter(options)
    const lease = await MountLease.connect(socketPath)
    if (lease === undefined) {
      await sleep(RETRY_MS)
      continue
    }
    try {
      await lease.mounted(options.signal)
      return lease
    } catch (error) {
      await lease[Symbol.asyncDispose]()
      throw error
    }
  }
  throw new ContainerError('MOUNT_FAILED', 'mounters of this image keep ending', {
    hint: 'look for the reason with: dat-container doctor'
  })
}

/** Starts a mounter, which knows whether it is needed. @returns the socket to lease from */
async function startMounter(options: AcquireMountOptions): Promise<string> {
  const { signal, mounterScript = MOUNTER_SCRIPT, mode = 'auto', ...open } = options
  if (isAborted(signal)) throw cancelled()
  const unit = `dat-container-mount-${randomBytes(4).toString('hex')}`
  const child = spawnService(unit, mounterScript, ['pipe', 'pipe', 'pipe'])
  const { stdin, stdout, stderr } = child
  if (stdin === null || stdout === null || stderr === null) throw new TypeError('no pipes')
  let complaint = ''
  stderr.on('data', (data: Buffer) => {
    complaint = `${complaint}${data.toString()}`.slice(-2000)
  })
  const exited = new Promise<void>((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', () => resolve())
  })
  exited.catch(() => {})
  // Ending its input tells the mounter that nobody waits any more; it then undoes what it has.
  const cancel = (): void => void stdin.end()
  signal?.addEventListener('abort', cancel, { once: true })
  stdin.on('error', () => {})
  try {
    const request: MounterRequest = { ...open, mode }
    writeJsonLine(stdin, request)
    const greeting = (await readJsonLines(stdout).next()).value as MounterGreeting | undefined
    if (isAborted(signal)) {
      await exited
      throw cancelled()
    }
    if (greeting === undefined) {
      await exited
      const cause = new Error(complaint)
      const lastLine = complaint.trim().split('\n').at(-1) ?? ''
      throw new ContainerError('MOUNT_FAILED', `the mounter ended at once: ${lastLine}`, { cause })
    }
    if ('error' in greeting) throw fromRecord(greeting.error)
    return greeting.socket
  } finally {
    signal?.removeEventListener('abort', cancel)
    for (const stream of [stdin, stdout, stderr]) stream.destroy()
    child.unref()
  }
}

/** Asked of a function, as the answer changes while we wait. */
function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true
}

function cancelled(): ContainerError {
  return new ContainerError('CANCELLED', 'cancelled while the image was being mounted')
}
