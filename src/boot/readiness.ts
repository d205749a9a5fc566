import { existsSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { runCommand } from './host-command.ts'
import { planNsenter } from './nsenter-plan.ts'
import { isAlive, type ProcessIdentity } from './process-table.ts'

const POLL_MS = 40
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
  while (isAlive(leader) && !signal.aborted) {
    if (existsSync(socket)) {
      const word = await askSystemd(leader, signal)
      if (word !== undefined) return word
    }
    await sleep(POLL_MS, undefined, { signal }).catch(() => {})
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
  try {
    const { stdout } = await runCommand(file, args, { timeoutMs: CALL_TIMEOUT_MS, signal })
    const word = stdout.trim()
    return word === 'running' || word === 'degraded' ? word : undefined
  } catch {
    return undefined
  }
}
