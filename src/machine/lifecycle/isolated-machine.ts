import { existsSync } from 'node:fs'
import * as v from 'valibot'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { checkName, generateName } from '../../boot/state/paths.ts'
import { isAlive } from '../../core/host/process-table.ts'
import { ContainerError, isContainerError } from '../../core/errors.ts'
import { formatKey, type ImageReference } from '../../p2p/link.ts'
import { askGuest, ASK_TIMEOUT_MS, containersIn } from '../guest/guest-containers.ts'
import { guardPlace, removeGuard } from '../qemu/loopback-guard.ts'
import { takeLock } from '../../core/host/kernel-lock.ts'
import { machinePaths, type MachineHome } from '../state/machine-paths.ts'
import {
  readConfig,
  readLiveState,
  requireConfig,
  type IsolatedContainer
} from '../state/machine-record.ts'
import { listMachines } from '../qemu/machine-summary.ts'
import { endQemu } from '../qemu/qemu-process.ts'
import { captureSsh, sshTarget } from '../guest/ssh-command.ts'
import { removeMachine, stopMachine } from './stop-machine.ts'

/** The guest's unit that switches the machine off when the container has ended. */
const WATCH_UNIT = 'dat-isolated'

/** The answer of the guest's `stop` and `kill`. */
const STOPPED = v.array(v.looseObject({ orderly: v.boolean() }))

/**
 * Reads what a machine was made for, if that is one container of the same name.
 *
 * @returns undefined for any other machine, or none
 */
export async function isolatedIn(
  home: MachineHome,
  name: string
): Promise<IsolatedContainer | undefined> {
  // A word that is no name is no machine's either.
  if (!/^[a-z0-9][a-z0-9-]*$/.test(name)) return undefined
  return (await readConfig(machinePaths(home, name)))?.isolates
}

/**
 * Checks that a container with its own machine can have this name.
 *
 * @throws ContainerError `USAGE`, `NAME_IN_USE`
 */
export async function checkIsolatedName(home: MachineHome, name: string): Promise<void> {
  checkName(name)
  const paths = machinePaths(home, name)
  if ((await readLiveState(paths)) !== undefined) {
    throw new ContainerError('NAME_IN_USE', `machine ${name} is already running`, {
      hint: `end it first (dat-container stop ${name}), or choose another name with -n`
    })
  }
  const isOther = existsSync(paths.config) && (await isolatedIn(home, name)) === undefined
  if (!isOther && !existsSync(join(home.home, 'containers', name))) return
  throw new ContainerError(
    'NAME_IN_USE',
    `there is a ${isOther ? 'machine' : 'container'} ${name}`,
    { hint: 'choose another name with -n' }
  )
}

/** Generates a name that no machine and no container has from the name of an image. */
export function newIsolatedName(home: MachineHome, image: ImageReference): string {
  for (let ordinal = 1; ; ordinal++) {
    const name = generateName(image.name, ordinal)
    const paths = [join(home.machines, name), join(home.home, 'containers', name)]
    if (!paths.some((place) => existsSync(place))) return name
  }
}

/** Formats an image for a record: the key of a link without its secret, or a name. */
export function imageWithoutSecret(image: ImageReference): string {
  return image.link ? `dat://${formatKey(image.link.key)}` : image.toString()
}

/**
 * Has a guest switch itself off when its detached container has ended, however it ends.
 *
 * @returns false when it has ended already
 * @throws ContainerError `IO`
 */
export async function watchIsolated(home: MachineHome, name: string): Promise<boolean> {
  const running = await containersIn(home, name, false)
  const pid = running.find((container) => container.name === name)?.pid
  const paths = machinePaths(home, name)
  const state = await readLiveState(paths)
  if (typeof pid !== 'number' || state === undefined) return false
  // The process is the container's runner: it has cleaned up when it ends.
  const wait = `while [ -d /proc/${pid} ]; do sleep 1; done; systemctl poweroff`
  const { exitCode, stderr } = await captureSsh(
    sshTarget(home, paths, state.sshPort),
    `systemd-run --quiet --collect --unit=${WATCH_UNIT} sh -c '${wait}'`,
    { timeoutMs: ASK_TIMEOUT_MS }
  )
  if (exitCode !== 0) {
    throw new ContainerError('IO', `machine ${name} cannot watch its container: ${stderr.trim()}`)
  }
  // QEMU has the file: without a name, its room comes back however the machine ends.
  const { isolates } = await requireConfig(paths)
  if (isolates?.remove === true && process.platform !== 'win32') await rm(paths.disk)
  return true
}

/** Tells whether a container exists in its machine. @returns undefined when that cannot be determined */
export async function isInMachine(home: MachineHome, name: string): Promise<boolean | undefined> {
  try {
    const containers = await containersIn(home, name, true)
    return containers.some((container) => container.name === name)
  } catch (error) {
    if (isContainerError(error)) return undefined
    throw error
  }
}

/**
 * Ends the machine of one container.
 *
 * @param keep keep the disk with the container's files; else delete everything
 */
export async function endIsolated(home: MachineHome, name: string, keep: boolean): Promise<void> {
  try {
    if (keep) await stopMachine({ home: home.home, name })
    else await removeMachine({ home: home.home, name, force: true })
  } catch (error) {
    // It was switching itself off.
    if (isContainerError(error, 'NOT_FOUND')) return
    if (!isContainerError(error, 'NOT_RUNNING')) throw error
    if (!keep) await removeMachine({ home: home.home, name, force: true })
  }
}

/**
 * Stops a container that has its own machine, and the machine.
 *
 * @param timeoutMs how long it may take to end by itself before it is killed
 * @returns whether it ended by itself
 * @throws ContainerError `NOT_RUNNING`, `IO`
 */
export async function stopIsolated(
  home: MachineHome,
  name: string,
  timeoutMs: number
): Promise<{ orderly: boolean }> {
  const { isolates } = await requireConfig(machinePaths(home, name))
  if ((await readLiveState(machinePaths(home, name))) === undefined) {
    throw new ContainerError('NOT_RUNNING', `container ${name} is not running`, {
      hint: 'to list all containers: dat-container ps --all'
    })
  }
  const words = timeoutMs === 0 ? ['kill', name] : ['stop', `--time=${timeoutMs}ms`, name]
  let orderly: boolean
  try {
    // The guest would be off before it has answered.
    const unwatched = `systemctl stop ${WATCH_UNIT} 2> /dev/null;`
    const stopped = await askGuest(home, name, words, { shape: STOPPED, before: unwatched })
    orderly = stopped?.[0]?.orderly ?? false
  } catch (error) {
    // A guest that does not answer ends as well: that is what was asked for.
    if (!isContainerError(error)) throw error
    orderly = false
  }
  await endIsolated(home, name, isolates?.remove !== true)
  return { orderly }
}

/**
 * Removes a container that has its own machine, with the machine and its disk.
 *
 * @throws ContainerError `BUSY` when it runs and `force` is not given
 */
export async function removeIsolated(
  home: MachineHome,
  name: string,
  force: boolean
): Promise<void> {
  if (!force && (await readLiveState(machinePaths(home, name))) !== undefined) {
    throw new ContainerError('BUSY', `container ${name} is running`, {
      hint: `stop it first (dat-container stop ${name}), or remove it with --force`
    })
  }
  await endIsolated(home, name, false)
}

/**
 * Cleans up after containers with their own machines: machines whose start was interrupted, and remains of those
 * that were to be removed at their end.
 */
export async function sweepIsolated(home: MachineHome): Promise<void> {
  for (const { name, isolated } of await listMachines(home)) {
    if (!isolated) continue
    const paths = machinePaths(home, name)
    const isolates = await isolatedIn(home, name)
    const state = await readLiveState(paths)
    if (state?.state === 'starting' && !isAlive(state.starter)) {
      await endQemu(state.qemu, state.control)
    }
    const lock = await takeLock(paths.lock, { keepFile: true })
    // It runs, or somebody starts or removes it.
    if (lock === undefined) continue
    try {
      await removeGuard(guardPlace(home, paths))
      if (isolates?.remove !== true) continue
      await rm(paths.runtime, { recursive: true, force: true })
      await rm(paths.directory, { recursive: true, force: true })
    } finally {
      await lock[Symbol.asyncDispose]()
    }
  }
}

/** Lists the machines that are off and kept for a stopped container. */
export async function stoppedIsolated(
  home: MachineHome
): Promise<{ name: string; image: string; createdAt: string }[]> {
  const found = []
  for (const { name, isolated, state } of await listMachines(home)) {
    if (!isolated || state !== 'stopped') continue
    const { isolates, createdAt } = await requireConfig(machinePaths(home, name))
    found.push({ name, image: isolates?.image ?? '', createdAt })
  }
  return found
}
