import { readdirSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { ContainerError, systemErrorCode } from '../../core/errors.ts'
import { cgroupPids } from '../nspawn/cgroup.ts'
import { requireRunning, type ContainerState } from '../state/container-record.ts'
import { explainStart, type StartExplanation } from '../lease/explain-start.ts'
import { currentLeader } from './leader.ts'
import { MountLease } from '../lease/mount-lease.ts'
import type { MountStats } from '../lease/mounter-protocol.ts'
import { bootPaths, containerPaths } from '../state/paths.ts'
import { readProcess, readProcFile, type ProcessIdentity } from '../../core/host/process-table.ts'

/** The resources that a container's processes use now. */
export interface ProcessStats {
  readonly pids: number
  /** Resident memory, pages shared between processes counted in each. */
  readonly rssBytes: number
  /** CPU time of the living processes since each was started. */
  readonly cpuMs: number
}

/** Figures of a running container; those of its image as {@link MountStats} has them. */
export interface ContainerStats extends MountStats, ProcessStats {
  readonly name: string
  readonly uptimeMs: number
  /** The division of the time until it was ready, if requested; null before it is ready. */
  readonly start?: StartExplanation | null
}

/** A clock tick of proc_pid_stat(5), a hundredth of a second on every Linux ABI. */
const MS_PER_TICK = 10

/**
 * Measures a running container and its image.
 *
 * @throws ContainerError `NOT_FOUND`, `NOT_RUNNING`, `MOUNT_FAILED` when its mounter has died
 */
export async function containerStats(options: {
  home: string
  name: string
  /** @default false */
  explain?: boolean
}): Promise<ContainerStats> {
  const paths = containerPaths(bootPaths(options.home), options.name)
  const state = await requireRunning(paths)
  const lease = await MountLease.connect(state.mounterSocket)
  if (lease === undefined) {
    throw new ContainerError('MOUNT_FAILED', `the mounter of ${options.name} has died`, {
      hint: `stop the container and boot it again: dat-container stop ${options.name}`
    })
  }
  try {
    return {
      name: options.name,
      uptimeMs: Date.now() - Date.parse(state.startedAt),
      ...processStats(currentLeader(state), state.cgroups),
      ...(await lease.stats()),
      ...(options.explain === true ? { start: await explain(state, lease) } : {})
    }
  } finally {
    await lease[Symbol.asyncDispose]()
  }
}

/**
 * Measures the processes of a running container, and asks nobody.
 *
 * @throws ContainerError `NOT_FOUND`, `NOT_RUNNING`
 */
export async function containerProcesses(home: string, name: string): Promise<ProcessStats> {
  const state = await requireRunning(containerPaths(bootPaths(home), name))
  return processStats(currentLeader(state), state.cgroups)
}

async function explain(
  { marks }: ContainerState,
  lease: MountLease
): Promise<StartExplanation | null> {
  if (marks.readyMs === undefined) return null
  const trace = await lease.trace([marks.commandMs, marks.readyMs])
  return explainStart(marks, trace) ?? null
}

/** Adds up the processes of a container: those in its cgroups and those in its PID namespace. */
export function processStats(leader: ProcessIdentity, cgroups: readonly string[]): ProcessStats {
  const payload = cgroups.flatMap((directory) => [
    join(directory, 'payload'),
    join(directory, 'exec')
  ])
  const pids = new Set([...cgroupPids(payload), ...pidsOfNamespace(leader.pid)])
  let rssBytes = 0
  let cpuMs = 0
  for (const pid of pids) {
    cpuMs += (readProcess(pid)?.cpuTicks ?? 0) * MS_PER_TICK
    const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(readProcFile(`/proc/${pid}/status`) ?? '')?.[1]
    rssBytes += Number(kibibytes ?? 0) * 1024
  }
  return { pids: pids.size, rssBytes, cpuMs }
}

function pidsOfNamespace(leaderPid: number): number[] {
  const namespace = namespaceOf(leaderPid)
  if (namespace === undefined) return []
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && namespaceOf(Number(name)) === namespace)
    .map(Number)
}

function namespaceOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/pid`)
  } catch (error) {
    if (['ENOENT', 'ESRCH', 'EACCES'].includes(systemErrorCode(error) ?? '')) return undefined
    throw error
  }
}
