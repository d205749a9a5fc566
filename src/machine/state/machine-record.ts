import { existsSync } from 'node:fs'
import { readJsonFile } from '../../core/json-file.ts'
import { isAlive, type ProcessIdentity } from '../../core/host/process-table.ts'
import { ContainerError } from '../../core/errors.ts'
import type { MachinePaths } from './machine-paths.ts'
import type { Accelerator, Architecture, ControlPlace, MachineType } from './machine-types.ts'

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
  /** Both or none; else the image that `findImage` finds. */
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

/** The state of a machine whose QEMU is there, by its process and that one's start time. */
export async function readLiveState(paths: MachinePaths): Promise<MachineState | undefined> {
  const state = await readJsonFile<MachineState>(paths.state)
  return state !== undefined && isAlive(state.qemu) ? state : undefined
}

/** @throws ContainerError `NOT_FOUND` */
export async function requireConfig(paths: MachinePaths): Promise<MachineConfig> {
  const config = existsSync(paths.directory)
    ? await readJsonFile<MachineConfig>(paths.config)
    : undefined
  if (config !== undefined) return config
  throw new ContainerError('NOT_FOUND', `there is no machine ${paths.name}`, {
    hint: `make it: dat-container machine start ${paths.name}; machine ls lists them`
  })
}

/** @throws ContainerError `NOT_FOUND`, `NOT_RUNNING` */
export async function requireRunning(paths: MachinePaths): Promise<MachineState> {
  await requireConfig(paths)
  const state = await readLiveState(paths)
  if (state !== undefined) return state
  throw new ContainerError('NOT_RUNNING', `machine ${paths.name} does not run`, {
    hint: `start it: dat-container machine start ${paths.name}`
  })
}
