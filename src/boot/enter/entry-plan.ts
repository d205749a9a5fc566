/** A classic BPF program that a process runs for each of its system calls. */
export interface SeccompFilter {
  /** Flags of seccomp(2) that it was installed with. */
  readonly flags: number
  /** The filter as the kernel takes it: 8 bytes per instruction. */
  readonly instructions: Buffer
}

/** One resource's limits; {@link NO_LIMIT} is none. */
export interface ResourceLimit {
  /** Its number in asm/resource.h. */
  readonly resource: number
  readonly soft: bigint
  readonly hard: bigint
}

export const NO_LIMIT = 2n ** 64n - 1n

/** Open files that the program finds in its descriptor table. */
export interface EntryDescriptors {
  /** The descriptor to which it writes what failed: an {@link EntryReport}. */
  readonly report: number
  /** A pidfd of the container's PID 1. */
  readonly leader: number
  /** Its PID namespace: from within its user namespace the process itself may be out of reach. */
  readonly pidNamespace: number
  /** The root directory of PID 1. */
  readonly root: number
  /** The `cgroup.procs` files of the cgroups to join. */
  readonly cgroups: readonly number[]
}

/** All that tells a process that joins a container from one of the host. */
export interface EntryPlan {
  readonly descriptors: EntryDescriptors
  /** CLONE_NEW flags of the namespaces to join. */
  readonly namespaces: number
  readonly limits: readonly ResourceLimit[]
  readonly oomScoreAdjustment: string
  readonly personality: number
  /** Processors that it may run on, one bit each. */
  readonly processors: Buffer
  readonly user: { readonly uid: number; readonly gid: number; readonly groups: readonly number[] }
  readonly capabilities: EntryCapabilities
  readonly noNewPrivileges: boolean
  /** The oldest first. */
  readonly filters: readonly SeccompFilter[]
  readonly cwd: string
  /** Make the terminal on standard input the controlling one of the command. */
  readonly terminal: boolean
  /** Path of the command in the container. */
  readonly path: string
  readonly argv: readonly string[]
  /** `NAME=value`. */
  readonly env: readonly string[]
}

/** Sets of capabilities, one bit each. */
export interface EntryCapabilities {
  /** Capabilities to remove from the bounding set. */
  readonly dropped: bigint
  readonly permitted: bigint
  /** Includes the ambient ones. */
  readonly inheritable: bigint
  readonly ambient: bigint
}

/** The report of a generated program that could not start the command. */
export interface EntryReport {
  readonly step: EntryStep
  /** The kernel's error number; 0 where a system call claimed to have worked and had not. */
  readonly errno: number
}

/** The steps that can fail, by name. */
export const ENTRY_STEPS = [
  'share memory',
  'leave the terminal',
  'fork',
  'join the cgroup',
  'set the OOM score',
  'set a resource limit',
  'join the namespaces',
  'change the root',
  'close files',
  'limit capabilities',
  'become the user',
  'set capabilities',
  'change the directory',
  'install the seccomp filter',
  'set attributes',
  'start in the PID namespace'
] as const

export type EntryStep = (typeof ENTRY_STEPS)[number]

/** Bytes of an {@link EntryReport}: the step's number counted from 1, and a negative errno. */
export const REPORT_BYTES = 16

/**
 * Decodes the report of an entry program: the number of the failed step and the result of its system call, 64 bits
 * each, little-endian.
 *
 * @returns undefined when nothing failed or the bytes are not a report
 */
export function readReport(bytes: Buffer): EntryReport | undefined {
  if (bytes.length < REPORT_BYTES) return undefined
  const step = ENTRY_STEPS[Number(bytes.readBigUInt64LE(0)) - 1]
  const result = bytes.readBigInt64LE(8)
  return step === undefined ? undefined : { step, errno: result < 0n ? Number(-result) : 0 }
}
