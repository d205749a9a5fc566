import { containerSummary, type ContainerSummary } from '../../boot/containers/container-summary.ts'
import { ContainerError } from '../../core/errors.ts'
import { machinePaths, type MachineHome } from '../state/machine-paths.ts'
import { readLiveState } from '../state/machine-record.ts'
import { listMachines } from '../qemu/machine-summary.ts'
import { captureSsh, quoteCommand, sshTarget } from './ssh-command.ts'
import * as v from 'valibot'
import { parseJson } from '../../core/json-file.ts'
import type { Shape } from '../../core/record-format.ts'

/** A container, and the machine that it runs in. */
export interface PlacedContainer extends ContainerSummary {
  readonly machine: string
}

/** How a guest is asked. What it answers is not to be trusted. */
export interface GuestQuestion<T> {
  readonly shape: Shape<T>
  /** For the guest's shell, in front of the command. @default '' */
  readonly before?: string
}

/** In software, a command of the guest takes seconds to start; only what hangs takes this long. */
export const ASK_TIMEOUT_MS = 120_000
const SHELL_NOT_FOUND = 127

/**
 * Runs the guest's `dat-container` and reads the JSON document that it prints.
 *
 * @param words what follows `dat-container --json`
 * @returns undefined where the guest has no `dat-container`, as one that is no HyperOS
 * @throws ContainerError `NOT_RUNNING`, `IO` with what the guest complains of
 */
export async function askGuest<T>(
  home: MachineHome,
  machine: string,
  words: readonly string[],
  { shape, before = '' }: GuestQuestion<T>
): Promise<T | undefined> {
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
  const answer = parseJson(stdout, shape)
  if (answer !== undefined) return answer
  throw new ContainerError('IO', `machine ${machine} answers with something else than was asked`, {
    hint: 'its dat-container may be of another release: dat-container machine upgrade'
  })
}

/**
 * Lists the containers of all running machines, by machine.
 *
 * @param options.all include stopped containers
 * @param options.onFailure gets machines that do not answer; they are left out
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

/** Lists the containers of one machine. @throws ContainerError `NOT_RUNNING`, `IO` */
export async function containersIn(
  home: MachineHome,
  machine: string,
  all: boolean
): Promise<PlacedContainer[]> {
  const shape = v.array(containerSummary)
  const found = await askGuest(home, machine, ['ps', ...(all ? ['--all'] : [])], { shape })
  return (found ?? []).map((container) => ({ ...container, machine }))
}
