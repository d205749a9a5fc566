import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { isAlive, type ProcessIdentity } from '../../core/host/process-table.ts'
import { ContainerError } from '../../core/errors.ts'
import { findPanic, lastLines, saysSshListens } from '../state/console-log.ts'
import { LOOPBACK } from '../state/port-forward.ts'
import { qemuEnded } from '../qemu/qemu-process.ts'
import { captureSsh, type SshTarget } from './ssh-command.ts'

export interface WaitProgress {
  readonly elapsedMs: number
  /** The last line on the guest's serial port, '' before there is one. */
  readonly lastLine: string
}

export interface SshWait {
  readonly target: SshTarget
  readonly qemu: ProcessIdentity
  readonly consoleLog: string
  readonly qemuLog: string
  readonly timeoutMs: number
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((progress: WaitProgress) => void) | undefined
}

const POLL_MS = 250
const BANNER_TIMEOUT_MS = 4000
/** A key exchange in software takes a while. */
const LOGIN_TIMEOUT_MS = 60_000

/**
 * Waits until root can log in.
 *
 * @throws ContainerError `BOOT_FAILED` when QEMU ends or the kernel panics, `TIMEOUT`, `CANCELLED`
 */
export async function waitForSsh(wait: SshWait): Promise<void> {
  const began = performance.now()
  let refusal = ''
  for (;;) {
    if (wait.signal?.aborted === true) {
      throw new ContainerError('CANCELLED', 'cancelled', { cause: wait.signal.reason })
    }
    if (!isAlive(wait.qemu)) throw await qemuEnded(wait.qemuLog)
    const panic = await findPanic(wait.consoleLog)
    if (panic !== undefined) throw new ContainerError('BOOT_FAILED', `the guest gave up: ${panic}`)
    const elapsedMs = performance.now() - began
    if (elapsedMs >= wait.timeoutMs) throw late(wait.timeoutMs, refusal)
    const [lastLine = ''] = await lastLines(wait.consoleLog, 1)
    wait.onProgress?.({ elapsedMs, lastLine })
    const left = Math.max(1, wait.timeoutMs - elapsedMs)
    // QEMU takes a connection before anybody in the guest does: the server's own words count. Once it is known to
    // listen, one connection is waited on: each that is given up costs a slow guest half a second of its processor.
    const listens = await saysSshListens(wait.consoleLog)
    if (listens || (await greets(wait.target.port, Math.min(BANNER_TIMEOUT_MS, left)))) {
      const { exitCode, stderr } = await captureSsh(wait.target, 'true', {
        timeoutMs: Math.min(LOGIN_TIMEOUT_MS, left),
        signal: wait.signal
      })
      if (exitCode === 0) return
      refusal = stderr.trim().split('\n').at(-1) ?? ''
    }
    await sleep(POLL_MS, undefined, wait.signal === undefined ? {} : { signal: wait.signal }).catch(
      () => {}
    )
  }
}

function late(timeoutMs: number, refusal: string): ContainerError {
  const seconds = Math.round(timeoutMs / 1000)
  const why = refusal === '' ? 'ssh did not answer' : `nobody could log in (${refusal})`
  return new ContainerError('TIMEOUT', `${why} within ${seconds} s`, {
    hint: 'give it more time with --timeout, or see the guest’s last output above'
  })
}

/** Whether an ssh server says who it is on a port of this machine. */
function greets(port: number, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, LOOPBACK)
    const end = (found: boolean): void => {
      socket.destroy()
      resolve(found)
    }
    socket.setTimeout(timeoutMs, () => end(false))
    socket.once('data', (data) => end(data.toString('latin1').startsWith('SSH-')))
    socket.once('error', () => end(false))
    socket.once('close', () => end(false))
  })
}
