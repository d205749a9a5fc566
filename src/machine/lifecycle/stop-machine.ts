import { rm } from 'node:fs/promises'
import { isAlive, waitForExit } from '../../core/host/process-table.ts'
import { ContainerError, isContainerError } from '../../core/errors.ts'
import { guardPlace, removeGuard } from '../qemu/loopback-guard.ts'
import { takeLock } from '../../core/host/kernel-lock.ts'
import {
  machineHome,
  machinePaths,
  type MachineHome,
  type MachinePaths
} from '../state/machine-paths.ts'
import {
  readLiveState,
  requireConfig,
  requireRunning,
  type MachineState
} from '../state/machine-record.ts'
import { endQemu } from '../qemu/qemu-process.ts'
import { Qmp } from '../qemu/qmp.ts'
import { captureSsh, sshTarget } from '../guest/ssh-command.ts'

export const STOP_TIMEOUT_MS = 60_000

/** A guest that hears the power button shows it by then, or is asked by ssh as well. */
const BUTTON_TIMEOUT_MS = 5000
/** A busybox that is found first speaks to no systemd. */
const POWER_OFF = 'systemctl poweroff || poweroff'
const LOCK_WAIT_MS = 5000

export interface StopRequest {
  readonly home: string
  readonly name: string
  /** For an orderly end; then it is switched off. 0 does so at once. @default 60000 */
  readonly timeoutMs?: number
}

/**
 * Stops a machine: presses its power button, asks it by ssh when that does nothing, and switches it
 * off when it is still there after the time-out.
 *
 * @returns whether the guest ended by itself
 * @throws ContainerError `NOT_FOUND`, `NOT_RUNNING`
 */
export async function stopMachine(request: StopRequest): Promise<{ orderly: boolean }> {
  const { timeoutMs = STOP_TIMEOUT_MS } = request
  const home = machineHome(request.home)
  const paths = machinePaths(home, request.name)
  const state = await requireRunning(paths)
  const orderly = timeoutMs > 0 && (await powerDown(home, paths, state, timeoutMs))
  if (!orderly) await endQemu(state.qemu, state.control)
  if (isAlive(state.qemu)) {
    throw new ContainerError('TIMEOUT', `QEMU of machine ${paths.name} did not end`, {
      hint: `kill it: kill -9 ${state.qemu.pid}`
    })
  }
  await forgetRun(home, paths)
  return { orderly }
}

async function powerDown(
  home: MachineHome,
  paths: MachinePaths,
  state: MachineState,
  timeoutMs: number
): Promise<boolean> {
  const deadline = performance.now() + timeoutMs
  try {
    using qmp = await Qmp.open(state.control)
    await qmp.execute('system_powerdown')
  } catch {
    // It does not answer, or ended a moment ago: the process tells.
  }
  if (await waitForExit(state.qemu, Math.min(BUTTON_TIMEOUT_MS, timeoutMs))) return true
  const left = (): number => Math.max(0, deadline - performance.now())
  if (state.state === 'running' && left() > 0) {
    const target = sshTarget(home, paths, state.sshPort)
    await captureSsh(target, POWER_OFF, { timeoutMs: left() }).catch(() => {})
  }
  return waitForExit(state.qemu, left())
}

/**
 * Forgets a machine and its disk.
 *
 * @param request.force switch it off first when it runs
 * @throws ContainerError `NOT_FOUND`, `BUSY` when it runs
 */
export async function removeMachine(request: {
  home: string
  name: string
  force?: boolean
}): Promise<void> {
  const { home, name, force = false } = request
  const machines = machineHome(home)
  const paths = machinePaths(machines, name)
  // One whose record is damaged can be removed, too.
  await requireConfig(paths).catch(throwIfAbsent)
  if ((await readLiveState(paths)) !== undefined) {
    if (!force) {
      throw new ContainerError('BUSY', `machine ${name} runs`, {
        hint: `stop it first (dat-container machine stop ${name}), or remove it with --force`
      })
    }
    await stopMachine({ home, name, timeoutMs: 0 })
  }
  const lock = await takeLock(paths.lock, { waitMs: LOCK_WAIT_MS, keepFile: true })
  if (lock === undefined) {
    throw new ContainerError('BUSY', `machine ${name} is being started`)
  }
  try {
    await removeGuard(guardPlace(machines, paths))
    await rm(paths.runtime, { recursive: true, force: true })
    await rm(paths.directory, { recursive: true, force: true })
  } finally {
    await lock[Symbol.asyncDispose]()
  }
}

function throwIfAbsent(error: unknown): void {
  if (!isContainerError(error) || error.code === 'NOT_FOUND') throw error
}

/** Clears away the runtime part of a machine that ended, unless somebody starts it again already. */
async function forgetRun(home: MachineHome, paths: MachinePaths): Promise<void> {
  const lock = await takeLock(paths.lock, { waitMs: LOCK_WAIT_MS, keepFile: true })
  if (lock === undefined) return
  try {
    await removeGuard(guardPlace(home, paths))
    await rm(paths.runtime, { recursive: true, force: true })
  } finally {
    await lock[Symbol.asyncDispose]()
  }
}
