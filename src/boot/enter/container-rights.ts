import { readFileSync, readlinkSync } from 'node:fs'
import { ContainerError } from '../../core/errors.ts'
import { readJsonFile, writeJsonFile } from '../../core/json-file.ts'
import {
  readProcFile,
  type ProcessIdentity,
  processIdentity
} from '../../core/host/process-table.ts'
import {
  NO_LIMIT,
  type EntryCapabilities,
  type EntryPlan,
  type ResourceLimit,
  type SeccompFilter
} from './entry-plan.ts'
import { readFilters } from './read-filters.ts'
import * as v from 'valibot'
import { count, type Shape } from '../../core/record-format.ts'

/** CLONE_NEW flags by the names in /proc/PID/ns. */
const NAMESPACES = {
  time: 0x80,
  mnt: 0x2_0000,
  cgroup: 0x200_0000,
  uts: 0x400_0000,
  ipc: 0x800_0000,
  user: 0x1000_0000,
  pid: 0x2000_0000,
  net: 0x4000_0000
} as const
const RESOURCES = 16
const OPEN_FILES = 7
/** The limit that systemd gives its services. It raises its own limit as far as it can. */
const SYSTEMD_SOFT_OPEN_FILES = 1024n
const FILTER_MODE = '2'
/** Without it no process may raise a hard limit. */
const CAP_SYS_RESOURCE = 1n << 24n

/** The rights of a process in a container, as read from its PID 1. */
export type ContainerRights = Pick<
  EntryPlan,
  | 'namespaces'
  | 'limits'
  | 'oomScoreAdjustment'
  | 'personality'
  | 'processors'
  | 'noNewPrivileges'
  | 'filters'
> & {
  /** @param uid of the command, in the container */
  readonly capabilitiesOf: (uid: number) => EntryCapabilities
}

export interface RightsOptions {
  /** All capabilities and no filter. */
  readonly privileged: boolean
  readonly mode: 'boot' | 'process'
  /** File in which the filters are cached, so that PID 1 is traced only once. */
  readonly filterCache: string
}

/**
 * Reads the rights of a container's PID 1. The caller holds a pidfd of it, and afterwards checks that the process
 * still exists.
 *
 * @throws ContainerError `MISSING_TOOL`, `BUSY`, `NOT_RUNNING`
 */
export async function readContainerRights(
  leader: ProcessIdentity,
  { privileged, mode, filterCache }: RightsOptions
): Promise<ContainerRights> {
  const { pid } = leader
  const status = statusOf(pid)
  const namespaces = foreignNamespaces(pid)
  if ((namespaces & NAMESPACES.pid) === 0) throw notRunning()
  return {
    namespaces,
    limits: limitsOf(pid, mode),
    oomScoreAdjustment: read(pid, 'oom_score_adj'),
    personality: Number.parseInt(read(pid, 'personality'), 16),
    processors: processorMask(status('Cpus_allowed')),
    noNewPrivileges: !privileged && status('NoNewPrivs') === '1',
    filters:
      privileged || status('Seccomp') !== FILTER_MODE
        ? []
        : await filtersOf(leader, Number(status('Seccomp_filters')), filterCache),
    capabilitiesOf: capabilities(status, (namespaces & NAMESPACES.user) !== 0, privileged)
  }
}

/** Each namespace of the process that is not our own. */
function foreignNamespaces(pid: number): number {
  let flags = 0
  for (const [name, flag] of Object.entries(NAMESPACES)) {
    if (namespaceOf('self', name) !== namespaceOf(pid, name)) flags |= flag
  }
  return flags
}

function namespaceOf(pid: number | 'self', name: string): string {
  try {
    return readlinkSync(`/proc/${pid}/ns/${name}`)
  } catch {
    return ''
  }
}

/**
 * systemd as PID 1 raises its own limit of open files, and gives what it starts the usual one:
 * programs that close all descriptors that they might have would take long otherwise.
 */
function limitsOf(pid: number, mode: RightsOptions['mode']): ResourceLimit[] {
  const [limits, own] = [limitTable(pid), limitTable('self')]
  const mayRaise = (capabilitySet(statusOf('self')('CapEff')) & CAP_SYS_RESOURCE) !== 0n
  return limits.map(({ resource, soft, hard }) => {
    const highest = mayRaise ? NO_LIMIT : (own[resource]?.hard ?? NO_LIMIT)
    const isRaised = mode === 'boot' && resource === OPEN_FILES && soft > SYSTEMD_SOFT_OPEN_FILES
    const wanted = isRaised ? SYSTEMD_SOFT_OPEN_FILES : soft
    return { resource, soft: lower(wanted, highest), hard: lower(hard, highest) }
  })
}

/** The table's rows are in the order of the resources' numbers, below a heading. */
function limitTable(pid: number | 'self'): ResourceLimit[] {
  const rows = read(pid, 'limits')
    .split('\n')
    .slice(1, RESOURCES + 1)
  return rows.map((row, resource) => {
    const [, soft = '', hard = ''] = /\s{2,}(\w+)\s+(\w+)/.exec(row) ?? []
    return { resource, soft: limitValue(soft), hard: limitValue(hard) }
  })
}

function limitValue(text: string): bigint {
  return text === 'unlimited' ? NO_LIMIT : BigInt(text)
}

function lower(one: bigint, other: bigint): bigint {
  return one < other ? one : other
}

/** From `00000000,0000000f`, the highest first, to bytes, the lowest first; whole words of 64 bits. */
function processorMask(text: string): Buffer {
  const digits = text.replaceAll(',', '')
  const padded = digits.padStart(Math.ceil(digits.length / 16) * 16, '0')
  return Buffer.from(Buffer.from(padded, 'hex').toReversed())
}

function capabilities(
  status: (field: string) => string,
  isOtherUserNamespace: boolean,
  privileged: boolean
): ContainerRights['capabilitiesOf'] {
  const lastBit = BigInt(readFileSync('/proc/sys/kernel/cap_last_cap', 'utf8').trim())
  const all = (1n << (lastBit + 1n)) - 1n
  const own = statusOf('self')
  // A process that enters a user namespace has all capabilities there.
  const ownBounding = isOtherUserNamespace ? all : capabilitySet(own('CapBnd'))
  const available = isOtherUserNamespace ? all : capabilitySet(own('CapPrm'))
  const bounding = privileged ? ownBounding : capabilitySet(status('CapBnd'))
  const ambient = privileged ? 0n : capabilitySet(status('CapAmb')) & available
  const inheritable = privileged ? 0n : capabilitySet(status('CapInh')) & available
  return (uid) => ({
    dropped: ownBounding & ~bounding,
    permitted: uid === 0 ? bounding & available : ambient,
    // Like nspawn: a user other than root gains no rights by executing a file.
    inheritable: uid === 0 ? inheritable : ambient,
    ambient
  })
}

function capabilitySet(hexadecimal: string): bigint {
  return BigInt(`0x${hexadecimal}`)
}

interface KeptFilters {
  readonly leader: ProcessIdentity
  readonly filters: readonly { readonly flags: number; readonly instructions: string }[]
}

const keptFilters: Shape<KeptFilters> = v.looseObject({
  leader: processIdentity,
  filters: v.array(v.looseObject({ flags: count, instructions: v.string() }))
})

/** A process gets more filters, and never others: as many as were read are those that were read. */
async function filtersOf(
  leader: ProcessIdentity,
  count: number,
  cache: string
): Promise<SeccompFilter[]> {
  const kept = await readJsonFile(cache, keptFilters)
  if (
    kept?.leader.pid === leader.pid &&
    kept.leader.startTicks === leader.startTicks &&
    kept.filters.length === count
  ) {
    return kept.filters.map(({ flags, instructions }) => ({
      flags,
      instructions: Buffer.from(instructions, 'base64')
    }))
  }
  const filters = await readFilters(leader.pid)
  const kept64 = filters.map(({ flags, instructions }) => ({
    flags,
    instructions: instructions.toString('base64')
  }))
  await writeJsonFile(cache, { leader, filters: kept64 } satisfies KeptFilters)
  return filters
}

/** A process's status, by field. */
function statusOf(pid: number | 'self'): (field: string) => string {
  const text = read(pid, 'status')
  return (field) => new RegExp(`^${field}:\\s*(.*)$`, 'm').exec(text)?.[1] ?? ''
}

function read(pid: number | 'self', file: string): string {
  const text = readProcFile(`/proc/${pid}/${file}`)
  if (text === undefined) throw notRunning()
  return text.trim()
}

function notRunning(): ContainerError {
  return new ContainerError('NOT_RUNNING', 'the container has ended')
}
