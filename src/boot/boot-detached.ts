import type { Readable, Writable } from 'node:stream'
import { ContainerError } from '../image/errors.ts'
import type { ContainerOptions } from './boot-options.ts'
import type { ContainerState } from './container-record.ts'
import type {
  DetachedEvent,
  DetachedKeep,
  DetachedMounter,
  DetachedRequest
} from './detached-protocol.ts'
import { fromRecord, toRecord } from '../image/error-record.ts'
import { readJsonLines, writeJsonLine } from './json-lines.ts'
import { startMounterAhead } from './mount-ahead.ts'
import { requireRoot } from './require-root.ts'
import { startService } from './spare-process.ts'
import type { StartingMounter } from './starting-mounter.ts'

export interface BootDetachedOptions {
  readonly container: ContainerOptions
  /** `running`: its PID 1 runs. `ready`: systemd inside says so too. @default 'running' */
  readonly wait?: 'running' | 'ready'
  readonly onState?: (state: ContainerState) => void
  /** Aborting before the wait is over stops and undoes the container. */
  readonly signal?: AbortSignal
}

const STATUS_DESCRIPTOR = 3

/**
 * Starts a container with a runner process of its own and waits until it runs. Its console goes to
 * the log. If this process dies before the wait is over, the container is undone.
 *
 * @throws ContainerError whatever kept it from running; nothing is left then. `BOOT_FAILED` also
 *   when it ended before it was ready
 */
export async function bootDetached(options: BootDetachedOptions): Promise<ContainerState> {
  requireRoot('run a container')
  const { container, wait = 'running', onState, signal } = options
  if (isAborted(signal)) throw cancelled()
  // Beside the runner, not after it: until both have loaded, either has a processor of its own.
  await using mounter = startMounterAhead(container)
  const child = startService('runner')
  const exited = new Promise<void>((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', () => resolve())
  })
  exited.catch(() => {})
  const abort = (): void => void child.kill('SIGTERM')
  signal?.addEventListener('abort', abort, { once: true })
  const status = child.stdio[STATUS_DESCRIPTOR] as Readable
  try {
    child.stdin?.on('error', () => {})
    const request: DetachedRequest = { container, hasMounter: mounter !== undefined }
    if (child.stdin) writeJsonLine(child.stdin, request)
    if (child.stdin && mounter) void tellOfMounter(child.stdin, mounter, signal)
    const state = await waitFor(status, wait, onState)
    const keep: DetachedKeep = { keep: true }
    if (child.stdin) writeJsonLine(child.stdin, keep)
    child.stdin?.end()
    return state
  } catch (error) {
    // The runner cleans up after what it told of; then it is gone.
    child.stdin?.destroy()
    await exited
    throw isAborted(signal) ? cancelled() : error
  } finally {
    signal?.removeEventListener('abort', abort)
    status.destroy()
    child.unref()
  }
}

/** Never rejects: what is wrong with the mounter, the runner says. */
async function tellOfMounter(
  runner: Writable,
  mounter: StartingMounter,
  signal: AbortSignal | undefined
): Promise<void> {
  const greeting = await mounter.socket(signal).then(
    (socket) => ({ socket }),
    (error: unknown) => ({ error: toRecord(error) })
  )
  const message: DetachedMounter = { mounter: greeting }
  writeJsonLine(runner, message)
}

async function waitFor(
  status: Readable,
  wait: 'running' | 'ready',
  onState: BootDetachedOptions['onState']
): Promise<ContainerState> {
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
      case 'state':
        last = event.state
        onState?.(event.state)
        if (wait === 'running' && event.state.state === 'running') return event.state
    }
  }
  throw new ContainerError('BOOT_FAILED', 'the process that runs the container has died', {
    hint: 'see what this machine lacks: dat-container doctor'
  })
}

/** Asked of a function, as the answer changes while we wait. */
function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true
}

function cancelled(): ContainerError {
  return new ContainerError('CANCELLED', 'cancelled before the container ran')
}
