import { cpus, totalmem } from 'node:os'
import { basename, resolve } from 'node:path'
import { ContainerError } from '../../core/errors.ts'
import type { MachineLimits } from '../state/machine-limits.ts'
import {
  CONFIG_FORMAT_VERSION,
  type IsolatedContainer,
  type MachineConfig,
  type MachineShare
} from '../state/machine-record.ts'
import { formatForward, parseForward } from '../state/port-forward.ts'
import type { Accelerator, Architecture, MachineType } from '../state/machine-types.ts'

/** The options of a start; those left out keep their last value. */
export interface MachineOptions {
  readonly memoryBytes?: number | undefined
  readonly cpus?: number | undefined
  readonly architecture?: Architecture | undefined
  /** 0 for none. */
  readonly diskBytes?: number | undefined
  readonly accelerator?: Accelerator | 'auto' | undefined
  readonly type?: MachineType | 'auto' | undefined
  /** In the form that {@link parseForward} reads. */
  readonly forwards?: readonly string[] | undefined
  /** In the form that {@link parseShare} reads. */
  readonly shares?: readonly string[] | undefined
  readonly kernel?: string | undefined
  readonly initrd?: string | undefined
  readonly append?: string | undefined
  /** Encrypt a new data disk by a key that the home keeps. */
  readonly encrypt?: boolean | undefined
  /** Encrypt it by the bytes of this file. */
  readonly keyFile?: string | undefined
  readonly isolates?: IsolatedContainer | undefined
}

const MIB = 1024 ** 2
const DEFAULT_MEMORY_MIB = 1024
const LEAST_MEMORY_MIB = 64
const DEFAULT_DISK_BYTES = 16 * 1024 ** 3
const MOST_CPUS = 255

/**
 * Combines options with the configuration of a machine's last start; pure except for the size of this machine.
 *
 * @param before configuration of the last start; undefined for a new machine
 * @param limits defaults for a new machine
 * @throws ContainerError `USAGE`
 */
export function mergeOptions(
  name: string,
  options: MachineOptions,
  before: MachineConfig | undefined,
  limits: MachineLimits = {}
): MachineConfig {
  const memoryMib =
    options.memoryBytes === undefined
      ? (before?.memoryMib ?? newMemoryMib(limits))
      : Math.round(options.memoryBytes / MIB)
  if (memoryMib < LEAST_MEMORY_MIB) {
    throw usage(`${memoryMib} MiB is too little`, `give at least ${LEAST_MEMORY_MIB}M`)
  }
  const processors = options.cpus ?? before?.cpus ?? limits.cpus ?? Math.min(2, cpus().length)
  if (!Number.isInteger(processors) || processors < 1 || processors > MOST_CPUS) {
    throw usage(`not a number of processors: ${processors}`, `give 1 to ${MOST_CPUS}`)
  }
  const kernel = options.kernel === undefined ? before?.kernel : resolve(options.kernel)
  const initrd = options.initrd === undefined ? before?.initrd : resolve(options.initrd)
  if ((kernel === undefined) !== (initrd === undefined)) {
    throw usage(
      '--kernel and --initrd belong together',
      'give both --kernel and --initrd, or neither'
    )
  }
  const architecture = options.architecture ?? before?.architecture
  const append = options.append ?? before?.append
  const keyFile = options.keyFile === undefined ? before?.keyFile : resolve(options.keyFile)
  const isolates = options.isolates ?? before?.isolates
  return {
    formatVersion: CONFIG_FORMAT_VERSION,
    name,
    createdAt: before?.createdAt ?? new Date().toISOString(),
    memoryMib,
    cpus: processors,
    diskBytes: options.diskBytes ?? before?.diskBytes ?? limits.diskBytes ?? DEFAULT_DISK_BYTES,
    accelerator: options.accelerator ?? before?.accelerator ?? 'auto',
    type: options.type ?? before?.type ?? 'auto',
    forwards:
      options.forwards?.map((text) => formatForward(parseForward(text))) ?? before?.forwards ?? [],
    shares: options.shares?.map(parseShare) ?? before?.shares ?? [],
    ...(kernel === undefined || initrd === undefined ? {} : { kernel, initrd }),
    ...(architecture === undefined ? {} : { architecture }),
    ...(append === undefined || append === '' ? {} : { append }),
    ...(keyFile === undefined ? {} : { keyFile }),
    ...(isolates === undefined ? {} : { isolates }),
    ...(before?.sshPort === undefined ? {} : { sshPort: before.sshPort })
  }
}

function newMemoryMib({ memoryBytes }: MachineLimits): number {
  if (memoryBytes !== undefined) return Math.round(memoryBytes / MIB)
  return Math.min(DEFAULT_MEMORY_MIB, Math.floor(totalmem() / MIB / 2))
}

/**
 * Reads `DIR[:TARGET][:ro]`; without a target the guest has it as `/mnt/<name of the directory>`.
 *
 * @throws ContainerError `USAGE`
 */
export function parseShare(text: string): MachineShare {
  const match = /^(.+?)(?::(\/[^:]*))?(?::(ro|rw))?$/.exec(text)
  const source = resolve(match?.[1] ?? '')
  const target = match?.[2] ?? `/mnt/${basename(source)}`
  if (match === null || /[\0\n]/.test(text) || basename(source) === '') {
    throw usage(`not a directory to share: ${JSON.stringify(text)}`, 'give DIR or DIR:TARGET:ro')
  }
  return { source, target, readOnly: match[3] === 'ro' }
}

function usage(message: string, hint: string): ContainerError {
  return new ContainerError('USAGE', message, { hint })
}
