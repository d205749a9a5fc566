import type { ContainerSummary } from '../../boot/containers/container-summary.ts'
import { ContainerError } from '../../core/errors.ts'
import { machinePaths, type MachineHome } from '../state/machine-paths.ts'
import { readLiveState } from '../state/machine-record.ts'
import { listMachines } from '../qemu/machine-summary.ts'
import { captureSsh, quoteCommand, sshTarget } from './ssh-command.ts'

/** A container, and the machine that it runs in. */
export interface PlacedContainer extends ContainerSummary {
  readonly machine: string
}

/** In software, a command of the guest takes seconds to start; only what hangs takes this long. */
export const ASK_TIMEOUT_MS = 120_000
const SHELL_NOT_FOUND = 127

/**
 * Runs the guest's `dat-container` and reads the JSON document that it prints.
 *
 * @param words what follows `dat-container --json`
 * @param before for the guest's shell, in front of the command
 * @returns undefined where the guest has no `dat-container`, as one that is no HyperOS
 * @throws ContainerError `NOT_RUNNING`, `IO` with what the guest complains of
 */
export async function askGuest(
  home: MachineHome,
  machine: string,
  words: readonly string[],
  before = ''
): Promise<unknown> {
  const paths = machinePaths(home, machine)
  const state = await readLiveState(paths)
  if (state?.state !== 'running') {
    throw new ContainerError('NOT_RUNNING', `machine ${machine} does not run`)
  }
  const command = `${before} ${quoteCommand(['dat-container', '--json', ...words])}`
  const target = sshTarget(home, paths, state.sshPort)
  const { exitCode, stdout, stderr } = await captureSsh(target, command, {
    timeoutMs: ASK_TIMEOUT_MS
  })
  if (exitCode === SHELL_NOT_FOUND) return undefined
  if (exitCode !== 0) {
    const said = stderr.trim().split('\n').at(-1) ?? ''
    throw new ContainerError('IO', `machine ${machine}: ${said || `exit status ${exitCode}`}`)
  }
  try {
    return JSON.parse(stdout)
  } catch (cause) {
    throw new ContainerError('IO', `machine ${machine} does not answer in JSON`, { cause })
  }
}

/**
 * Containers of all machines that run, by machine.
 *
 * @param options.all the stopped ones too
 * @param options.onFailure told of machines that do not answer: they are left out
 */
export async function listGuestContainers(
  home: MachineHome,
  options: { all: boolean; onFailure: (error: unknown) => void }
): Promise<PlacedContainer[]> {
  const running = (await listMachines(home)).filter(({ state }) => state === 'running')
  const lists = await Promise.all(
    running.map(async ({ name }) => {
      try {
        return await containersIn(home, name, options.all)
      } catch (error) {
        options.onFailure(error)
        return []
      }
    })
  )
  return lists.flat()
}

/** @throws ContainerError `NOT_RUNNING`, `IO` */
export async function containersIn(
  home: MachineHome,
  machine: string,
  all: boolean
): Promise<PlacedContainer[]> {
  const found = await askGuest(home, machine, ['ps', ...(all ? ['--all'] : [])])
  return Array.isArray(found)
    ? (found as ContainerSummary[]).map((container) => ({ ...container, machine }))
    : []
}
