import { existsSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import type { MountMode } from '../../fuse/content/mounted-image.ts'
import { ContainerError } from '../../core/errors.ts'
import { readJsonFile } from '../../core/json-file.ts'
import type { BootPaths, ContainerPaths } from './paths.ts'
import { isAlive, processIdentity, type ProcessIdentity } from '../../core/host/process-table.ts'
import { idRange, type IdRange } from '../ids/user-namespace.ts'
import * as v from 'valibot'
import { count, type RecordFormat, type Shape } from '../../core/record-format.ts'

export const CONFIG_FORMAT_VERSION = 1

/** The record of a container that is kept as long as it exists: `config.json`. */
export interface ContainerConfig {
  readonly formatVersion: typeof CONFIG_FORMAT_VERSION
  readonly name: string
  /** ISO 8601, UTC. */
  readonly createdAt: string
  /** Canonical full link, pinned to the version whose files the upper layer goes with. */
  readonly link: string
  readonly key: string
  readonly version: number
  readonly image: string
  readonly ephemeral: boolean
  /** The command that it last ran; empty for its init. Absent in records of earlier releases. */
  readonly command?: readonly string[]
  /**
   * Ids of this machine that are the container's, and that its files belong to; null for one that has the machine's
   * own. Absent in what an earlier release made, where it had the machine's own.
   */
  readonly idRange?: IdRange | null
  readonly lastExit?: { readonly code: number; readonly at: string }
}

/** How {@link ContainerConfig} is kept. */
export const CONTAINER_CONFIG: RecordFormat<ContainerConfig> = {
  field: 'formatVersion',
  version: CONFIG_FORMAT_VERSION,
  shape: v.looseObject({
    formatVersion: v.literal(CONFIG_FORMAT_VERSION),
    name: v.string(),
    createdAt: v.string(),
    link: v.string(),
    key: v.string(),
    version: count,
    image: v.string(),
    ephemeral: v.boolean(),
    command: v.exactOptional(v.array(v.string())),
    idRange: v.exactOptional(v.nullable(idRange)),
    lastExit: v.exactOptional(v.looseObject({ code: v.number(), at: v.string() }))
  })
}

/** Milliseconds from the start of the boot. */
export interface BootTimings {
  readonly mountedMs?: number
  readonly startedMs?: number
  /** The init inside says that it is up; for a process: when it was started. */
  readonly readyMs?: number
}

/** When a start got where, by the clock of `monotonicMs`. */
export interface StartMarks {
  /** The command began that boots the container. */
  readonly commandMs: number
  /** The runner has the mounted image. */
  readonly mountedMs?: number
  /** PID 1 is there. */
  readonly startedMs?: number
  readonly readyMs?: number
}

/** The state of a running container: `state.json`. */
export interface ContainerState {
  readonly name: string
  readonly state: 'starting' | 'running' | 'stopping'
  readonly link: string
  readonly key: string
  readonly version: number
  readonly image: string
  readonly mode: 'boot' | 'process'
  /** The command that it runs; empty for its init. */
  readonly command?: readonly string[]
  readonly ephemeral: boolean
  readonly readOnly: boolean
  readonly mountMode: MountMode
  /** Merged root on the host. */
  readonly rootfs: string
  /** Socket of the mounter that has the image. */
  readonly mounterSocket: string
  /** `running`: its init has said that it is up. `started`: its one command runs. */
  readonly ready?: string
  readonly startedAt: string
  readonly timings: BootTimings
  readonly marks: StartMarks
  readonly runner: ProcessIdentity
  readonly nspawn?: ProcessIdentity
  /** PID 1 of the container, as the host numbers it. */
  readonly leader?: ProcessIdentity
  /** Cgroup directories of the container. */
  readonly cgroups: readonly string[]
}

const milliseconds = v.exactOptional(v.number())

/** The shape of {@link BootTimings}. */
export const bootTimings: Shape<BootTimings> = v.looseObject({
  mountedMs: milliseconds,
  startedMs: milliseconds,
  readyMs: milliseconds
})

/**
 * The shape of a {@link ContainerState} in its file. A field that a later release adds must be optional: runners of
 * this one go on when the command is replaced.
 */
export const containerState: Shape<ContainerState> = v.looseObject({
  name: v.string(),
  state: v.picklist(['starting', 'running', 'stopping']),
  link: v.string(),
  key: v.string(),
  version: count,
  image: v.string(),
  mode: v.picklist(['boot', 'process']),
  command: v.exactOptional(v.array(v.string())),
  ephemeral: v.boolean(),
  readOnly: v.boolean(),
  mountMode: v.picklist(['erofs', 'fuse']),
  rootfs: v.string(),
  mounterSocket: v.string(),
  ready: v.exactOptional(v.string()),
  startedAt: v.string(),
  timings: bootTimings,
  marks: v.looseObject({
    commandMs: v.number(),
    mountedMs: milliseconds,
    startedMs: milliseconds,
    readyMs: milliseconds
  }),
  runner: processIdentity,
  nspawn: v.exactOptional(processIdentity),
  leader: v.exactOptional(processIdentity),
  cgroups: v.array(v.string())
})

/** Reads the state of a container whose runner is alive. @returns undefined for any other */
export async function readLiveState(files: ContainerPaths): Promise<ContainerState | undefined> {
  const state = await readJsonFile(files.state, containerState)
  return isAlive(state?.runner) ? state : undefined
}

/**
 * Reads the state of a container, and checks that it runs.
 *
 * @throws ContainerError `NOT_FOUND`, `NOT_RUNNING`
 */
export async function requireRunning(
  files: ContainerPaths
): Promise<ContainerState & { leader: ProcessIdentity }> {
  const state = await readLiveState(files)
  if (state === undefined) {
    requireKnown(files)
    throw await stopped(files)
  }
  if (state.leader === undefined || state.state === 'starting') {
    const message =
      state.state === 'stopping'
        ? `container ${files.name} is being stopped`
        : `container ${files.name} is being started, and does not run yet`
    throw new ContainerError('NOT_RUNNING', message, {
      hint: 'wait a moment, then try again; see dat-container ps'
    })
  }
  return { ...state, leader: state.leader }
}

/** Makes the error for a container that exists and does not run. */
async function stopped({ name, config }: ContainerPaths): Promise<ContainerError> {
  // An unreadable record adds nothing.
  const kept = await readJsonFile(config, CONTAINER_CONFIG.shape).catch(() => undefined)
  const exit = kept?.lastExit
  const ended = exit === undefined ? '' : `: it ended with status ${exit.code} at ${exit.at}`
  return new ContainerError('NOT_RUNNING', `container ${name} is stopped${ended}`, {
    hint: `start it: dat-container boot ${kept?.image ?? 'IMAGE'} -n ${name}; see its output: dat-container logs ${name}`
  })
}

/** Checks that a container exists, running or stopped. @throws ContainerError `NOT_FOUND` */
export function requireKnown(files: ContainerPaths): void {
  if ([files.config, files.state, files.upper].some((path) => existsSync(path))) return
  throw new ContainerError('NOT_FOUND', `there is no container ${files.name}`, {
    hint: 'to list all containers: dat-container ps --all'
  })
}

/** Lists the names of all containers of a home, running or stopped, sorted. */
export async function containerNames(paths: BootPaths): Promise<string[]> {
  const [kept, running] = await Promise.all([readdir(paths.containers), readdir(paths.running)])
  return [...new Set([...kept, ...running])].sort()
}
