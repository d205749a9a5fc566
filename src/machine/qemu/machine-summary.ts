import { readdir } from 'node:fs/promises'
import { isAlive } from '../../core/host/process-table.ts'
import { isContainerError } from '../../core/errors.ts'
import { GUEST_ADDRESS } from '../state/command-line.ts'
import { machinePaths, type MachineHome, type MachinePaths } from '../state/machine-paths.ts'
import {
  readLiveState,
  requireConfig,
  type MachineConfig,
  type MachineState,
  type MachineSummary
} from '../state/machine-record.ts'
import { archName } from '../state/machine-types.ts'
import { LOOPBACK } from '../state/port-forward.ts'
import { Qmp } from './qmp.ts'

const STATUS_TIMEOUT_MS = 2000

/** Lists the machines of a home, sorted by name. */
export async function listMachines(home: MachineHome): Promise<MachineSummary[]> {
  const names = (await readdir(home.machines)).filter((name) => /^[a-z0-9][a-z0-9-]*$/.test(name))
  const found = await Promise.all(
    names.sort().map((name) => summarizeAny(machinePaths(home, name)))
  )
  return found.filter((summary) => summary !== undefined)
}

/** Undefined for one that is not there any more. */
async function summarizeAny(paths: MachinePaths): Promise<MachineSummary | undefined> {
  try {
    return await summarize(paths)
  } catch (error) {
    if (!isContainerError(error)) throw error
    if (error.code === 'NOT_FOUND') return undefined
    return describe(paths, { state: 'damaged', problem: error.message })
  }
}

/**
 * Collects what is known of one machine.
 *
 * @throws ContainerError `NOT_FOUND`, and `IO` or `UNSUPPORTED_VERSION` for a record that cannot be read
 */
export async function summarize(paths: MachinePaths): Promise<MachineSummary> {
  const config = await requireConfig(paths)
  const live = await readLiveState(paths)
  const state = live === undefined ? 'stopped' : await guestState(live)
  return describe(paths, { state, config, live, problem: null })
}

/** Puts together what is known of a machine. Sizes of one whose record cannot be read are 0. */
function describe(
  { name, directory, consoleLog }: MachinePaths,
  {
    state,
    config,
    live,
    problem
  }: Pick<MachineSummary, 'state' | 'problem'> & {
    readonly config?: MachineConfig
    readonly live?: MachineState | undefined
  }
): MachineSummary {
  return {
    name,
    state,
    problem,
    pid: live?.qemu.pid ?? null,
    arch: live?.architecture === undefined ? null : archName(live.architecture),
    accel: live?.accelerator ?? null,
    type: live?.type ?? null,
    ip: live === undefined ? null : LOOPBACK,
    sshPort: live?.sshPort ?? null,
    guestIp: live === undefined ? null : GUEST_ADDRESS,
    memoryMib: config?.memoryMib ?? 0,
    cpus: config?.cpus ?? 0,
    diskBytes: config?.diskBytes ?? 0,
    encrypted: config?.keyFile !== undefined,
    isolated: config?.isolates !== undefined,
    forwards: config?.forwards ?? [],
    shares: config?.shares ?? [],
    startedAt: live?.startedAt ?? null,
    readyMs: live?.readyMs ?? null,
    directory,
    consoleLog
  }
}

async function guestState(live: MachineState): Promise<MachineSummary['state']> {
  try {
    using qmp = await Qmp.open(live.control, STATUS_TIMEOUT_MS)
    const { status } = (await qmp.execute('query-status')) as { status: string }
    if (status === 'paused' || status === 'suspended') return 'paused'
  } catch {
    return isAlive(live.qemu) ? 'unresponsive' : 'stopped'
  }
  if (live.state === 'running') return 'running'
  return isAlive(live.starter) ? 'starting' : 'unready'
}
