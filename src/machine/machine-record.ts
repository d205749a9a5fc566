import { existsSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { readJsonFile } from '../boot/json-file.ts'
import { isAlive, type ProcessIdentity } from '../boot/process-table.ts'
import { ContainerError } from '../image/errors.ts'
import { GUEST_ADDRESS } from './command-line.ts'
import { machinePaths, type MachineHome, type MachinePaths } from './machine-paths.ts'
import { LOOPBACK } from './port-forward.ts'
import {
  archName,
  type Accelerator,
  type Architecture,
  type ControlPlace,
  type MachineType
} from './qemu-plan.ts'
import { Qmp } from './qmp.ts'

export const CONFIG_FORMAT_VERSION = 1

/** What is asked of a machine, and kept for its next start: `config.json`. */
export interface MachineConfig {
  readonly formatVersion: typeof CONFIG_FORMAT_VERSION
  readonly name: string
  /** ISO 8601, UTC. */
  readonly createdAt: string
  readonly memoryMib: number
  readonly cpus: number
  /** What was asked for; else the image tells. */
  readonly architecture?: Architecture
  /** Size of the data disk in bytes; 0 for none. */
  readonly diskBytes: number
  readonly accelerator: Accelerator | 'auto'
  readonly type: MachineType | 'auto'
  /** As `parseForward` reads them. */
  readonly forwards: readonly string[]
  readonly shares: readonly MachineShare[]
  /** Both or none; else the image that {@link import('./os-image.ts').findImage} finds. */
  readonly kernel?: string
  readonly initrd?: string
  readonly append?: string
  /** Path of the key that the data disk is encrypted by; a disk without one is not. */
  readonly keyFile?: string
  /** The container, of the machine's name, that it was made for and ends with. */
  readonly isolates?: IsolatedContainer
  /** The port of this machine that led to ssh the last time: taken again when it is free. */
  readonly sshPort?: number
}

/** A container that has a machine to itself. */
export interface IsolatedContainer {
  /** What it was booted from, without the secret of a link. */
  readonly image: string
  /** Whether it goes when it ends: so does its machine's disk then. */
  readonly remove: boolean
  /** The port of this machine's loopback by which the guest reaches the daemon. */
  readonly daemonPort?: number
}

/** A directory of this machine, and where the guest shows it. */
export interface MachineShare {
  readonly source: string
  readonly target: string
  readonly readOnly: boolean
}

/** What is known of a machine while it runs: `state.json`. */
export interface MachineState {
  readonly name: string
  /** `running`: ssh has answered. */
  readonly state: 'starting' | 'running'
  readonly qemu: ProcessIdentity
  /** The command that waits for ssh, while `starting`. */
  readonly starter: ProcessIdentity
  readonly control: ControlPlace
  /** Undefined where an earlier version of this program started it. */
  readonly architecture?: Architecture
  readonly accelerator: Accelerator
  readonly type: MachineType
  readonly sshPort: number
  readonly startedAt: string
  /** What QEMU was given; absent in what releases wrote that did not tell. */
  readonly boot?: BootFacts
  /** From the start of QEMU until ssh answered. */
  readonly readyMs?: number
}

/** What a machine was started with. */
export interface BootFacts {
  /** SHA-256, lower-case hexadecimal. */
  readonly kernelSha256: string
  readonly initrdSha256: string
  readonly commandLine: string
}

/** One machine as `ls` and `status` show it. */
export interface MachineSummary {
  readonly name: string
  /** `unresponsive`: QEMU is there and does not answer. `unready`: ssh never answered. */
  readonly state: 'running' | 'starting' | 'unready' | 'paused' | 'unresponsive' | 'stopped'
  readonly pid: number | null
  /** As Debian names it. */
  readonly arch: 'amd64' | 'arm64' | null
  readonly accel: Accelerator | null
  readonly type: MachineType | null
  /** Where this machine reaches the guest's ssh; the address is that of every forwarded port. */
  readonly ip: string | null
  readonly sshPort: number | null
  /** The guest's address on its own network, which nothing else is on. */
  readonly guestIp: string | null
  readonly memoryMib: number
  readonly cpus: number
  readonly diskBytes: number
  readonly encrypted: boolean
  /** Whether it is there for one container, which has its name. */
  readonly isolated: boolean
  readonly forwards: readonly string[]
  readonly shares: readonly MachineShare[]
  readonly startedAt: string | null
  readonly readyMs: number | null
  readonly directory: string
  readonly consoleLog: string
}

const STATUS_TIMEOUT_MS = 2000

/** Every machine of the home, sorted by name. */
export async function listMachines(home: MachineHome): Promise<MachineSummary[]> {
  const names = (await readdir(home.machines)).filter((name) => /^[a-z0-9][a-z0-9-]*$/.test(name))
  const found = await Promise.all(
    names.sort().map((name) => summarize(machinePaths(home, name)).catch(ignoreAbsent))
  )
  return found.filter((summary) => summary !== undefined)
}

function ignoreAbsent(error: unknown): undefined {
  if (error instanceof ContainerError && error.code === 'NOT_FOUND') return undefined
  throw error
}

/** @throws ContainerError `NOT_FOUND` */
export async function summarize(places: MachinePaths): Promise<MachineSummary> {
  const config = await requireConfig(places)
  const live = await readLiveState(places)
  return {
    name: places.name,
    state: live === undefined ? 'stopped' : await guestState(live),
    pid: live?.qemu.pid ?? null,
    arch: live?.architecture === undefined ? null : archName(live.architecture),
    accel: live?.accelerator ?? null,
    type: live?.type ?? null,
    ip: live === undefined ? null : LOOPBACK,
    sshPort: live?.sshPort ?? null,
    guestIp: live === undefined ? null : GUEST_ADDRESS,
    memoryMib: config.memoryMib,
    cpus: config.cpus,
    diskBytes: config.diskBytes,
    encrypted: config.keyFile !== undefined,
    isolated: config.isolates !== undefined,
    forwards: config.forwards,
    shares: config.shares,
    startedAt: live?.startedAt ?? null,
    readyMs: live?.readyMs ?? null,
    directory: places.directory,
    consoleLog: places.consoleLog
  }
}

/** The state of a machine whose QEMU is there, by its process and that one's start time. */
export async function readLiveState(places: MachinePaths): Promise<MachineState | undefined> {
  const state = await readJsonFile<MachineState>(places.state)
  return state !== undefined && isAlive(state.qemu) ? state : undefined
}

/** @throws ContainerError `NOT_FOUND` */
export async function requireConfig(places: MachinePaths): Promise<MachineConfig> {
  const config = existsSync(places.directory)
    ? await readJsonFile<MachineConfig>(places.config)
    : undefined
  if (config !== undefined) return config
  throw new ContainerError('NOT_FOUND', `there is no machine ${places.name}`, {
    hint: `make it: dat-container machine start ${places.name}; machine ls lists them`
  })
}

/** @throws ContainerError `NOT_FOUND`, `NOT_RUNNING` */
export async function requireRunning(places: MachinePaths): Promise<MachineState> {
  await requireConfig(places)
  const state = await readLiveState(places)
  if (state !== undefined) return state
  throw new ContainerError('NOT_RUNNING', `machine ${places.name} does not run`, {
    hint: `start it: dat-container machine start ${places.name}`
  })
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
