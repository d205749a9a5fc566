import { POWEROFF_SIGNAL } from './nspawn-plan.ts'
import { findCommandProcess } from './nspawn-process.ts'
import { existsSync } from 'node:fs'
import { killCgroups } from './cgroup.ts'
import { signalProcess, waitForExit, type ProcessIdentity } from './process-table.ts'

/** SIGRTMIN+3 as glibc numbers it; Node.js knows no real-time signal by name. */
const POWEROFF_SIGNAL_NUMBER = 37

/** What of a running container a stop is about. */
export interface StopTarget {
  readonly mode: 'boot' | 'process'
  readonly leader: ProcessIdentity
  readonly cgroups: readonly string[]
  /** The image's own stop signal, e.g. of an OCI image. */
  readonly stopSignal?: string
}

/** Asks the container to end, as its init or its command understands it. */
export function requestStop({ mode, leader, stopSignal }: StopTarget): void {
  if (mode === 'process') {
    signalProcess(findCommandProcess(leader) ?? leader, signalOf(stopSignal) ?? 'SIGTERM')
    return
  }
  const isSystemd = existsSync(`/proc/${leader.pid}/root/run/systemd/private`)
  signalProcess(leader, signalOf(stopSignal) ?? (isSystemd ? POWEROFF_SIGNAL_NUMBER : 'SIGTERM'))
}

/** Gives the command of a process-mode container a signal of its own. */
export function forwardSignal(leader: ProcessIdentity, signal: NodeJS.Signals): void {
  signalProcess(findCommandProcess(leader) ?? leader, signal)
}

/** Ends a container at once. Its PID 1 takes all its processes along. */
export async function killContainer({ leader, cgroups }: StopTarget): Promise<void> {
  signalProcess(leader, 'SIGKILL')
  await waitForExit(leader, 2000)
  await killCgroups(cgroups)
}

function signalOf(name: string | undefined): NodeJS.Signals | number | undefined {
  if (name === undefined || name === '') return undefined
  if (/^\d+$/.test(name)) return Number(name)
  if (name === POWEROFF_SIGNAL) return POWEROFF_SIGNAL_NUMBER
  const full = name.startsWith('SIG') ? name : `SIG${name}`
  return /^SIG[A-Z0-9]+$/.test(full) ? (full as NodeJS.Signals) : undefined
}
