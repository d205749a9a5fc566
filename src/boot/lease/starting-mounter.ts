import type { ChildProcess } from 'node:child_process'
import type { ImageNews, OpenImageOptions } from '../../session/connection/image-session.ts'
import { refusedFlags } from '../../core/host/service-flags.ts'
import type { MountMode } from '../../fuse/content/mounted-image.ts'
import { ContainerError } from '../../core/errors.ts'
import { fromRecord } from '../../core/error-record.ts'
import { readJsonLines, writeJsonLine } from '../../core/json-lines.ts'
import type { MounterGreeting, MounterRequest } from './mounter-protocol.ts'
import { startService } from '../../core/host/prestart.ts'

export interface StartMounterOptions
  extends Omit<OpenImageOptions, 'signal'>, Pick<MounterRequest, 'idBase' | 'escaped'> {
  /** `auto` takes `erofs` where the kernel has it. @default 'auto' */
  readonly mode?: MountMode | 'auto'
  /** The start is to be recorded. */
  readonly record?: boolean
  /** The program that mounts. @default the one beside this module */
  readonly mounterScript?: string
}

/** A starting mounter, as its future user sees it. */
export interface MounterAhead extends AsyncDisposable {
  /**
   * Waits for its greeting; may be called once.
   *
   * @returns the socket to lease from
   * @throws ContainerError why there is none; `CANCELLED` when `signal` aborts
   */
  socket(signal?: AbortSignal): Promise<string>
  /** Notices about the image, available together with the socket. */
  readonly news: ImageNews | undefined
}

/**
 * A mounter process that has just been started; it finds out itself whether it is needed. Disposing of it before
 * its greeting was read ends it and undoes what it did.
 */
export class StartingMounter implements MounterAhead {
  readonly #greeting: Promise<MounterGreeting | undefined>
  #process: MounterProcess
  #done = false
  news: ImageNews | undefined

  constructor(options: StartMounterOptions) {
    const { mounterScript, mode = 'auto', ...open } = options
    const request: MounterRequest = { ...open, mode }
    this.#process = new MounterProcess(request, mounterScript)
    this.#greeting = this.#greetingOf(() => new MounterProcess(request, mounterScript))
    this.#greeting.catch(() => {})
  }

  async socket(signal?: AbortSignal): Promise<string> {
    // Ending its input tells the mounter that nobody waits any more; it then undoes what it has.
    const cancel = (): void => this.#process.cancel()
    if (isAborted(signal)) cancel()
    signal?.addEventListener('abort', cancel, { once: true })
    try {
      const greeting = await this.#greeting
      if (isAborted(signal)) {
        await this.#process.exited
        throw new ContainerError('CANCELLED', 'cancelled while the image was being mounted')
      }
      if (greeting === undefined) {
        await this.#process.exited
        const { complaint } = this.#process
        const cause = new Error(complaint)
        const lastLine = complaint.trim().split('\n').at(-1) || this.#process.ending
        throw new ContainerError('MOUNT_FAILED', `the mounter ended at once: ${lastLine}`, {
          cause
        })
      }
      if ('error' in greeting) throw fromRecord(greeting.error)
      this.news = greeting.news
      return greeting.socket
    } finally {
      signal?.removeEventListener('abort', cancel)
      this.#release()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#done) return
    const { exited, greeting } = this.#process
    this.#process.cancel()
    // A mounter that has greeted lives as long as its leases, and this process has no way to wait for its end.
    const isGreeted = greeting.then(async (found) => found === undefined && exited)
    await Promise.race([exited, isGreeted]).catch(() => {})
    this.#release()
  }

  async #greetingOf(again: () => MounterProcess): Promise<MounterGreeting | undefined> {
    const greeting = await this.#process.greeting
    if (greeting !== undefined) return greeting
    await this.#process.exited
    if (this.#process.isCancelled || !this.#process.refusedFlags) return undefined
    this.#process.release()
    this.#process = again()
    return this.#process.greeting
  }

  #release(): void {
    this.#done = true
    this.#process.release()
  }
}

/** A process that was started as a mounter, and asked. */
class MounterProcess {
  readonly greeting: Promise<MounterGreeting | undefined>
  readonly exited: Promise<void>
  /** The end of what it wrote to its standard error. */
  complaint = ''
  isCancelled = false
  readonly #child: ChildProcess

  constructor(request: MounterRequest, script: string | undefined) {
    const child = startService('mounter', script)
    this.#child = child
    this.exited = new Promise<void>((resolve, reject) => {
      child.once('error', reject)
      child.once('exit', () => resolve())
    })
    this.exited.catch(() => {})
    const { stdin, stdout, stderr } = child
    if (stdin === null || stdout === null || stderr === null) throw new TypeError('no pipes')
    stdin.on('error', () => {})
    stderr.on('data', (data: Buffer) => {
      this.complaint = `${this.complaint}${data.toString()}`.slice(-2000)
    })
    writeJsonLine(stdin, request)
    this.greeting = readJsonLines(stdout)
      .next()
      .then(({ value }) => value as MounterGreeting | undefined)
    this.greeting.catch(() => {})
  }

  get refusedFlags(): boolean {
    return refusedFlags(this.#child)
  }

  /** How it has ended. */
  get ending(): string {
    const { exitCode, signalCode } = this.#child
    return signalCode === null ? `it ended with ${exitCode}` : `a signal ended it (${signalCode})`
  }

  cancel(): void {
    this.isCancelled = true
    this.#child.stdin?.end()
  }

  release(): void {
    const { stdin, stdout, stderr } = this.#child
    for (const stream of [stdin, stdout, stderr]) stream?.destroy()
    this.#child.unref()
  }
}

/** Asked of a function, as the answer changes while we wait. */
function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true
}
