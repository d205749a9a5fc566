import { readJsonFile, readRecord } from '../../core/json-file.ts'
import { isAlive, type ProcessIdentity, processIdentity } from '../../core/host/process-table.ts'
import { ContainerError } from '../../core/errors.ts'
import type { MachinePaths } from './machine-paths.ts'
import {
  accelerator,
  architecture,
  controlPlace,
  machineType,
  type Accelerator,
  type Architecture,
  type ControlPlace,
  type MachineType
} from './machine-types.ts'
import * as v from 'valibot'
import { count, type RecordFormat, type Shape } from '../../core/record-format.ts'

export const CONFIG_FORMAT_VERSION = 1

/** The options of a machine, kept for its next start: `config.json`. */
export interface MachineConfig {
  readonly formatVersion: typeof CONFIG_FORMAT_VERSION
  readonly name: string
  /** ISO 8601, UTC. */
  readonly createdAt: string
  readonly memoryMib: number
  readonly cpus: number
  /** The requested architecture; without it, the image decides. */
  readonly architecture?: Architecture
  /** Size of the data disk in bytes; 0 for none. */
  readonly diskBytes: number
  readonly accelerator: Accelerator | 'auto'
  readonly type: MachineType | 'auto'
  /** In the form that `parseForward` reads. */
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

/** How {@link MachineConfig} is kept. */
const MACHINE_CONFIG: RecordFormat<MachineConfig> = {
  field: 'formatVersion',
  version: CONFIG_FORMAT_VERSION,
  shape: v.looseObject({
    formatVersion: v.literal(CONFIG_FORMAT_VERSION),
    name: v.string(),
    createdAt: v.string(),
    memoryMib: count,
    cpus: count,
    architecture: v.exactOptional(architecture),
    diskBytes: count,
    accelerator: v.union([accelerator, v.literal('auto')]),
    type: v.union([machineType, v.literal('auto')]),
    forwards: v.array(v.string()),
    shares: v.array(
      v.looseObject({ source: v.string(), target: v.string(), readOnly: v.boolean() })
    ),
    kernel: v.exactOptional(v.string()),
    initrd: v.exactOptional(v.string()),
    append: v.exactOptional(v.string()),
    keyFile: v.exactOptional(v.string()),
    isolates: v.exactOptional(
      v.looseObject({
        image: v.string(),
        remove: v.boolean(),
        daemonPort: v.exactOptional(v.number())
      })
    ),
    sshPort: v.exactOptional(v.number())
  })
}

/** A container that has a machine to itself. */
export interface IsolatedContainer {
  /** The image that it was booted from, without the secret of a link. */
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

/** The state of a running machine: `state.json`. */
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

/** The shape of a {@link MachineState} in its file; what a later release adds must be optional. */
const machineState: Shape<MachineState> = v.looseObject({
  name: v.string(),
  state: v.picklist(['starting', 'running']),
  qemu: processIdentity,
  starter: processIdentity,
  control: controlPlace,
  architecture: v.exactOptional(architecture),
  accelerator,
  type: machineType,
  sshPort: v.number(),
  startedAt: v.string(),
  boot: v.exactOptional(
    v.looseObject({ kernelSha256: v.string(), initrdSha256: v.string(), commandLine: v.string() })
  ),
  readyMs: v.exactOptional(v.number())
})

/** The kernel, initrd and command line of a start, for attestation. */
export interface BootFacts {
  /** SHA-256, lower-case hexadecimal. */
  readonly kernelSha256: string
  readonly initrdSha256: string
  readonly commandLine: string
}

/** One machine as `ls` and `status` show it. */
export interface MachineSummary {
  readonly name: string
  /**
   * `unresponsive`: QEMU is there and does not answer. `unready`: ssh never answered. `damaged`: its record cannot be
   * read, and its figures are 0.
   */
  readonly state:
    'running' | 'starting' | 'unready' | 'paused' | 'unresponsive' | 'stopped' | 'damaged'
  /** What is wrong with a damaged machine; null for others. */
  readonly problem: string | null
  readonly pid: number | null
  /** The name that Debian uses. */
  readonly arch: 'amd64' | 'arm64' | null
  readonly accel: Accelerator | null
  readonly type: MachineType | null
  /** Address at which this machine reaches the guest's ssh and every forwarded port. */
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

/**
 * Reads the state of a machine whose QEMU runs; the process is identified by its id and start time.
 *
 * @returns undefined for any other
 */
export async function readLiveState(paths: MachinePaths): Promise<MachineState | undefined> {
  const state = await readJsonFile(paths.state, machineState)
  return state !== undefined && isAlive(state.qemu) ? state : undefined
}

/**
 * Reads the record of a machine.
 *
 * @returns undefined when there is none
 * @throws ContainerError `IO` for a damaged record, `UNSUPPORTED_VERSION` for one of a later release
 */
export async function readConfig(paths: MachinePaths): Promise<MachineConfig | undefined> {
  const found = await readRecord(paths.config, MACHINE_CONFIG)
  if (found.kind === 'record') return found.record
  if (found.kind === 'absent') return undefined
  const hint = `its disk is kept in ${paths.directory}; to delete both: dat-container machine rm ${paths.name}`
  if (found.kind === 'later') {
    throw new ContainerError(
      'UNSUPPORTED_VERSION',
      `a later release of dat-container made machine ${paths.name}`,
      { hint: `use that release; ${hint}` }
    )
  }
  throw new ContainerError('IO', `cannot read ${paths.config}: it ${found.why}`, {
    hint,
    cause: found.cause
  })
}

/**
 * Reads the record of a machine that must exist.
 *
 * @throws ContainerError `NOT_FOUND`, and as {@link readConfig}
 */
export async function requireConfig(paths: MachinePaths): Promise<MachineConfig> {
  const config = await readConfig(paths)
  if (config !== undefined) return config
  throw new ContainerError('NOT_FOUND', `there is no machine ${paths.name}`, {
    hint: `make it: dat-container machine start ${paths.name}; machine ls lists them`
  })
}

/**
 * Reads the state of a machine, and checks that it runs.
 *
 * @throws ContainerError `NOT_FOUND`, `NOT_RUNNING`
 */
export async function requireRunning(paths: MachinePaths): Promise<MachineState> {
  await requireConfig(paths)
  const state = await readLiveState(paths)
  if (state !== undefined) return state
  throw new ContainerError('NOT_RUNNING', `machine ${paths.name} does not run`, {
    hint: `start it: dat-container machine start ${paths.name}`
  })
}
