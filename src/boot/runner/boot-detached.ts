import type { Readable, Writable } from 'node:stream'
import { lackHint } from '../../doctor/lack-hint.ts'
import { refusedFlags } from '../../core/host/service-flags.ts'
import { ContainerError } from '../../core/errors.ts'
import type { ContainerOptions } from '../state/boot-options.ts'
import type { ImageNews } from '../../session/connection/image-session.ts'
import type { ContainerState } from '../state/container-record.ts'
import type {
  DetachedEvent,
  DetachedKeep,
  DetachedMounter,
  DetachedRequest
} from './detached-protocol.ts'
import { fromRecord, toRecord } from '../../core/error-record.ts'
import { readJsonLines, writeJsonLine } from '../../core/json-lines.ts'
import type { MounterGreeting } from '../lease/mounter-protocol.ts'
import { startMounterAhead } from '../lease/mount-ahead.ts'
import { requireRoot } from '../../core/host/require-root.ts'
import { startService } from '../../core/host/prestart.ts'
import { startCancelled } from './start-cancelled.ts'
import type { StartingMounter } from '../lease/starting-mounter.ts'

export interface BootDetachedOptions {
  readonly container: ContainerOptions
  /** `running`: its PID 1 runs. `ready`: its init says that it is up, or its command runs. @default 'running' */
  readonly wait?: 'running' | 'ready'
  /** How long it may take from its PID 1 to ready; it goes on then. @default as long as it runs */
  readonly waitTimeoutMs?: number
  readonly onState?: (state: ContainerState) => void
  readonly onNews?: (news: ImageNews) => void
  /** Aborting before the wait is over stops and undoes the container. */
  readonly signal?: AbortSignal
}

const STATUS_DESCRIPTOR = 3

/**
 * Starts a container with a runner process of its own and waits until it runs. Its console goes to
 * the log. If this process dies before the wait is over, the container is stopped; what it wrote is
 * kept once its PID 1 ran.
 *
 * @throws ContainerError whatever kept it from running; nothing is left then, but what a container had
 *   or has written. `BOOT_FAILED` also when it ended before it was ready. `TIMEOUT` when it is not ready
 *   in time, and goes on
 */
export async function bootDetached(options: BootDetachedOptions): Promise<ContainerState> {
  requireRoot('running a container')
  if (isAborted(options.signal)) throw startCancelled()
  // Beside the runner, not after it: until both have loaded, either has a processor of its own.
  await using mounter = startMounterAhead(options.container)
  const greeting = mounter && greetingOf(mounter, options.signal)
  return (
    (await runDetached(options, greeting)) ??
    (await runDetached(options, greeting)) ??
    (await lost())
  )
}

/**
 * Starts a runner and hears it out.
 *
 * @param mounter what the mounter greeted with, where one was started; never rejects
 * @returns undefined where it never began for the flags that it was given; the next has none
 */
async function runDetached(
  { container, wait = 'running', waitTimeoutMs, onState, onNews, signal }: BootDetachedOptions,
  mounter: Promise<MounterGreeting> | undefined
): Promise<ContainerState | undefined> {
  const child = startService('runner')
  const exited = new Promise<void>((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', () => resolve())
  })
  exited.catch(() => {})
  const abort = (): void => void child.kill('SIGTERM')
  signal?.addEventListener('abort', abort, { once: true })
  /** The container's name, once its PID 1 runs. */
  let started: string | undefined
  let timer: NodeJS.Timeout | undefined
  let onLate = (): void => {}
  const late = new Promise<'late'>((resolve) => (onLate = () => resolve('late')))
  const status = child.stdio[STATUS_DESCRIPTOR] as Readable
  try {
    const { stdin } = child
    if (stdin === null) throw new TypeError('no pipe')
    stdin.on('error', () => {})
    const request: DetachedRequest = {
      container: { ...container, link: container.link.toString() },
      hasMounter: mounter !== undefined
    }
    writeJsonLine(stdin, request)
    if (mounter) void tellOfMounter(stdin, mounter)
    const told = waitFor(
      status,
      wait,
      (state) => {
        if (state.leader !== undefined && started === undefined) {
          started = state.name
          if (waitTimeoutMs !== undefined) timer = setTimeout(onLate, waitTimeoutMs)
        }
        onState?.(state)
      },
      onNews
    )
    const state = await Promise.race([told, late])
    if (state === undefined) {
      await exited
      if (!isAborted(signal) && refusedFlags(child)) return undefined
      return await lost()
    }
    const keep: DetachedKeep = { keep: true }
    writeJsonLine(stdin, keep)
    stdin.end()
    if (state !== 'late') return state
  } catch (error) {
    // The runner cleans up after what it told of; then it is gone.
    child.stdin?.destroy()
    await exited
    const isKept = container.ephemeral !== true && container.remove !== true
    throw isAborted(signal) ? startCancelled(started, isKept) : error
  } finally {
    signal?.removeEventListener('abort', abort)
    status.destroy()
    child.unref()
    clearTimeout(timer)
  }
  throw new ContainerError(
    'TIMEOUT',
    `container ${started} runs, but has not said that it is ready`,
    {
      hint:
        'it keeps running; an init that is not systemd may never say so: leave out --wait ready; ' +
        `see what it does: dat-container logs ${started}`
    }
  )
}

/** Never rejects: what is wrong with the mounter, the runner says. */
async function greetingOf(
  mounter: StartingMounter,
  signal: AbortSignal | undefined
): Promise<MounterGreeting> {
  return mounter.socket(signal).then(
    (socket) => ({ socket, news: mounter.news }),
    (error: unknown) => ({ error: toRecord(error) })
  )
}

async function tellOfMounter(runner: Writable, mounter: Promise<MounterGreeting>): Promise<void> {
  const message: DetachedMounter = { mounter: await mounter }
  writeJsonLine(runner, message)
}

/** @returns undefined when the runner ended before it said anything that counts */
async function waitFor(
  status: Readable,
  wait: 'running' | 'ready',
  onState: BootDetachedOptions['onState'],
  onNews: BootDetachedOptions['onNews']
): Promise<ContainerState | undefined> {
  let last: ContainerState | undefined
  for await (const line of readJsonLines(status)) {
    const event = line as DetachedEvent
    switch (event.event) {
      case 'error':
        throw fromRecord(event.error)
      case 'ready':
        return event.state
      case 'exit':
        if (wait === 'running' && last?.leader !== undefined) return last
        throw new ContainerError(
          'BOOT_FAILED',
          `the container ended before it was ready (exit code ${event.exitCode})`
        )
      case 'news':
        onNews?.(event.news)
        break
      case 'state':
        last = event.state
        onState?.(event.state)
        if (wait === 'running' && event.state.state === 'running') return event.state
    }
  }
  return undefined
}

async function lost(): Promise<never> {
  throw new ContainerError('BOOT_FAILED', 'the process that runs the container has died', {
    hint: await lackHint()
  })
}

/** Asked of a function, as the answer changes while we wait. */
function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true
}
