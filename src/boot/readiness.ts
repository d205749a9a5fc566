import { existsSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { runCommand } from './host-command.ts'
import { keepNsenterGoing } from './nsenter-watch.ts'
import { planNsenter } from './nsenter-plan.ts'
import {
  childrenOf,
  executableOf,
  identify,
  isAlive,
  signalProcess,
  type ProcessIdentity
} from './process-table.ts'

const FIRST_PAUSE_MS = 20
const LONGEST_PAUSE_MS = 1000
/** One call of systemctl; it is asked again as long as the container lives. */
const CALL_TIMEOUT_MS = 120_000

/**
 * Waits until systemd in the container says that start-up has ended.
 *
 * @returns its word, `running` or `degraded`; undefined when the container ended first, when it was
 *   cancelled, or when the container's init is no systemd
 */
export async function waitUntilReady(
  leader: ProcessIdentity,
  signal: AbortSignal
): Promise<string | undefined> {
  // Looked at through the leader's root; systemd makes this socket before it starts any unit.
  const socket = `/proc/${leader.pid}/root/run/systemd/private`
  let pauseMs = FIRST_PAUSE_MS
  // PID 1 becomes systemd-shutdown at the end, which waits until nobody else is there: asking on and
  // on would keep the container from ever stopping.
  while (isAlive(leader) && !signal.aborted && executableOf(leader) !== 'systemd-shutdown') {
    if (existsSync(socket)) {
      const word = await askSystemd(leader, signal)
      if (word !== undefined) return word
      pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)
    }
    await sleep(pauseMs, undefined, { signal }).catch(() => {})
  }
  return undefined
}

async function askSystemd(
  leader: ProcessIdentity,
  signal: AbortSignal
): Promise<string | undefined> {
  const [file = '', ...args] = planNsenter({
    leaderPid: leader.pid,
    argv: ['systemctl', 'is-system-running', '--wait'],
    cwd: '/'
  })
  let endWatch: (() => void) | undefined
  let pid = 0
  const ended = new AbortController()
  const cancel = (): void => void endCommandOf(pid, ended.signal)
  try {
    const asking = runCommand(file, args, {
      timeoutMs: CALL_TIMEOUT_MS,
      onStart: (started) => {
        pid = started
        endWatch = keepNsenterGoing(pid)
      }
    })
    signal.addEventListener('abort', cancel, { once: true })
    const { stdout } = await asking
    const word = stdout.trim()
    return word === 'running' || word === 'degraded' ? word : undefined
  } catch {
    return undefined
  } finally {
    signal.removeEventListener('abort', cancel)
    ended.abort()
    endWatch?.()
  }
}

/**
 * Ends the command that nsenter runs, not nsenter: a command that lost its nsenter has nobody who
 * reaps it, and systemd-shutdown inside would wait ten seconds for it.
 */
async function endCommandOf(nsenterPid: number, ended: AbortSignal): Promise<void> {
  while (!ended.aborted) {
    for (const pid of childrenOf(nsenterPid)) signalProcess(identify(pid), 'SIGKILL')
    await sleep(FIRST_PAUSE_MS)
  }
}
