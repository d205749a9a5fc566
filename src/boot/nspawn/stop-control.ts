import { constants } from 'node:os'
import { POWEROFF_SIGNAL } from './nspawn-plan.ts'
import { findCommandProcess } from './nspawn-process.ts'
import { existsSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { killCgroups } from './cgroup.ts'
import {
  executableOf,
  isAlive,
  signalProcess,
  waitForExit,
  type ProcessIdentity
} from '../../core/host/process-table.ts'
import * as v from 'valibot'
import type { Shape } from '../../core/record-format.ts'

/** SIGRTMIN+3 as glibc numbers it; Node.js knows no real-time signal by name. */
const POWEROFF_SIGNAL_NUMBER = 37
const HIGHEST_SIGNAL_NUMBER = 64
/** systemd handles signals a moment before it makes its socket; one that hangs is asked blindly. */
const LISTEN_TIMEOUT_MS = 3000
const POLL_MS = 20

/** A request to stop that a command leaves for the runner, in a file such as `stop.json`. */
export interface StopRequest {
  readonly timeoutMs: number
  /** It did not end in order, or was not given the time. */
  readonly killed: boolean
}

/** The shape of a {@link StopRequest} in its file. */
export const stopRequest: Shape<StopRequest> = v.looseObject({
  timeoutMs: v.number(),
  killed: v.boolean()
})

/** The parts of a running container that a stop needs. */
export interface StopTarget {
  readonly mode: 'boot' | 'process'
  readonly leader: ProcessIdentity
  readonly cgroups: readonly string[]
  /** The image's own stop signal, e.g. of an OCI image. */
  readonly stopSignal?: string
}

/**
 * Asks the container to end by the signal that its init or command understands. A systemd that has just started
 * may not listen yet, so the request is repeated when it does.
 */
export async function requestStop({ mode, leader, stopSignal }: StopTarget): Promise<void> {
  const deadline = performance.now() + LISTEN_TIMEOUT_MS
  const stillWaits = (): boolean => isAlive(leader) && performance.now() < deadline
  if (mode === 'process') {
    return forwardSignal(leader, signalOf(stopSignal) ?? 'SIGTERM')
  }
  // For its first moments PID 1 is nspawn itself, which has yet to execute the init.
  while (stillWaits() && executableOf(leader) === 'systemd-nspawn') await sleep(POLL_MS)
  // SIGTERM, which ends other inits, makes systemd re-execute itself; so it matters who it is.
  if (stopSignal !== undefined || executableOf(leader) !== 'systemd') {
    signalProcess(leader, signalOf(stopSignal) ?? 'SIGTERM')
    return
  }
  while (stillWaits() && !listens(leader)) await sleep(POLL_MS)
  signalProcess(leader, POWEROFF_SIGNAL_NUMBER)
}

function listens(leader: ProcessIdentity): boolean {
  return existsSync(`/proc/${leader.pid}/root/run/systemd/private`)
}

/**
 * Sends a signal to the command of a process-mode container. nspawn's stub init would lose the signal, so this
 * waits until the command has started.
 */
export async function forwardSignal(
  leader: ProcessIdentity,
  signal: NodeJS.Signals | number
): Promise<void> {
  const deadline = performance.now() + LISTEN_TIMEOUT_MS
  while (findCommandProcess(leader) === undefined) {
    if (!isAlive(leader) || performance.now() > deadline) break
    await sleep(POLL_MS)
  }
  signalProcess(findCommandProcess(leader) ?? leader, signal)
}

/** Kills a container. The kernel ends all its processes with its PID 1. */
export async function killContainer({ leader, cgroups }: StopTarget): Promise<void> {
  signalProcess(leader, 'SIGKILL')
  await waitForExit(leader, 2000)
  await killCgroups(cgroups)
}

/** Undefined for what is no signal: an image says it, and it must not keep the image from being stopped. */
function signalOf(name: string | undefined): NodeJS.Signals | number | undefined {
  if (name === undefined || name === '') return undefined
  if (name === POWEROFF_SIGNAL) return POWEROFF_SIGNAL_NUMBER
  if (/^\d+$/.test(name)) {
    const number = Number(name)
    return number > 0 && number <= HIGHEST_SIGNAL_NUMBER ? number : undefined
  }
  const full = name.startsWith('SIG') ? name : `SIG${name}`
  return Object.hasOwn(constants.signals, full) ? (full as NodeJS.Signals) : undefined
}
