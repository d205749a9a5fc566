import { ContainerError, systemErrorCode } from '../../core/errors.ts'
import { DEFAULT_STOP_TIMEOUT_MS } from '../state/boot-options.ts'
import {
  containerNames,
  readLiveState,
  requireKnown,
  requireRunning,
  type ContainerConfig,
  type ContainerState
} from '../state/container-record.ts'
import { summarize, type ContainerSummary } from './container-summary.ts'
import { takeLock } from '../../core/host/kernel-lock.ts'
import { writeJsonFile } from '../../core/json-file.ts'
import { readKept } from '../state/kept-config.ts'
import { currentLeader } from './leader.ts'
import { bootPaths, containerPaths, type ContainerPaths } from '../state/paths.ts'
import { signalProcess, waitForExit } from '../../core/host/process-table.ts'
import { removeTree } from '../root/remove-tree.ts'
import { requireRoot } from '../../core/host/require-root.ts'
import type { StopRequest } from '../nspawn/stop-control.ts'
import { sweep } from './sweep.ts'

/** Fields that `inspect` shows in addition to those of `ps`. */
export interface ContainerDetails extends ContainerSummary {
  readonly config: ContainerConfig | null
  readonly current: ContainerState | null
  readonly directory: string
  readonly consoleLog: string
}

/** A runner has this long to clean up once its container has ended. */
const CLEANUP_TIMEOUT_MS = 30_000
const LOCK_WAIT_MS = 2000

/**
 * Lists the containers of a home, sorted by name. As root, it first cleans up after containers that died.
 *
 * @param options.all include stopped containers
 */
export async function listContainers(
  home: string,
  options: { all?: boolean } = {}
): Promise<ContainerSummary[]> {
  if (process.getuid?.() === 0) await sweep({ home })
  const paths = bootPaths(home)
  const found: ContainerSummary[] = []
  for (const name of await containerNames(paths)) {
    const summary = await summarize(paths, name)
    if (summary !== undefined && (options.all === true || summary.state !== 'stopped')) {
      found.push(summary)
    }
  }
  return found
}

/** Describes one container, running or stopped. @throws ContainerError `NOT_FOUND` */
export async function inspectContainer(home: string, name: string): Promise<ContainerDetails> {
  const paths = bootPaths(home)
  const files = containerPaths(paths, name)
  requireKnown(files)
  const summary = await summarize(paths, name)
  if (summary === undefined) {
    throw new ContainerError('NOT_FOUND', `there is no container ${name}`)
  }
  const [kept, current] = await Promise.all([readKept(files), readLiveState(files)])
  return {
    ...summary,
    config: kept.kind === 'config' ? kept.config : null,
    current: current ?? null,
    directory: files.directory,
    consoleLog: files.consoleLog
  }
}

export interface StopOptions {
  readonly home: string
  readonly name: string
  /** For an orderly end; then it is killed. 0 kills at once. @default 30000 */
  readonly timeoutMs?: number
}

/**
 * Stops a container and waits until its runner has cleaned up. Does nothing to a stopped container.
 *
 * @returns whether it ended by itself, without being killed, and whether it ran before
 * @throws ContainerError `NOT_FOUND`, `NEEDS_ROOT`, `TIMEOUT` when the runner does not finish cleaning up
 */
export async function stopContainer(
  options: StopOptions
): Promise<{ orderly: boolean; wasRunning: boolean }> {
  requireRoot('stopping a container')
  const { home, name, timeoutMs = DEFAULT_STOP_TIMEOUT_MS } = options
  const files = containerPaths(bootPaths(home), name)
  const state = await readLiveState(files)
  // Starting counts: the runner then undoes what it has.
  if (state === undefined) {
    await sweep({ home })
    requireKnown(files)
    return { orderly: true, wasRunning: false }
  }
  const killed = timeoutMs === 0
  await tellRunner(files, { timeoutMs, killed })
  signalProcess(state.runner, 'SIGTERM')
  // The runner may be quicker than our look.
  let orderly = !killed
  if (!(await waitForExit(state.leader ?? state.runner, timeoutMs))) {
    orderly = false
    await tellRunner(files, { timeoutMs, killed: true })
    const now = (await readLiveState(files)) ?? state
    if (now.leader !== undefined) {
      signalProcess(currentLeader({ ...now, leader: now.leader }), 'SIGKILL')
    }
  }
  await waitForRunner(files, state)
  return { orderly, wasRunning: true }
}

/** A container that ends meanwhile takes the directory for it along. */
async function tellRunner(files: ContainerPaths, request: StopRequest): Promise<void> {
  try {
    await writeJsonFile(files.stopRequest, request)
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw error
  }
}

/**
 * Kills a running container and waits until its runner has cleaned up.
 *
 * @throws ContainerError `NOT_RUNNING`, `NOT_FOUND`, and what {@link stopContainer} throws
 */
export async function killContainerNamed(
  options: Omit<StopOptions, 'timeoutMs'>
): Promise<{ orderly: boolean }> {
  const { orderly, wasRunning } = await stopContainer({ ...options, timeoutMs: 0 })
  if (!wasRunning) await requireRunning(containerPaths(bootPaths(options.home), options.name))
  return { orderly }
}

async function waitForRunner(files: ContainerPaths, state: ContainerState): Promise<void> {
  const deadline = performance.now() + CLEANUP_TIMEOUT_MS
  while (performance.now() < deadline) {
    // A foreground runner's process may go on; its lock tells that it is done with the container.
    const lock = await takeLock(files.lock, { waitMs: LOCK_WAIT_MS })
    if (lock !== undefined) return lock[Symbol.asyncDispose]()
  }
  throw new ContainerError('TIMEOUT', `the runner of ${files.name} did not finish cleaning up`, {
    hint: `kill it: kill -9 ${state.runner.pid}; the next command cleans up after it`
  })
}

/**
 * Deletes a container and its files.
 *
 * @param options.force stop it first if it runs
 * @throws ContainerError `NOT_FOUND`, `BUSY` when it runs, `NEEDS_ROOT`
 */
export async function removeContainer(options: {
  home: string
  name: string
  force?: boolean
}): Promise<void> {
  requireRoot('removing a container')
  const { home, name, force = false } = options
  await sweep({ home })
  const files = containerPaths(bootPaths(home), name)
  requireKnown(files)
  if ((await readLiveState(files)) !== undefined) {
    if (!force) {
      throw new ContainerError('BUSY', `container ${name} is running`, {
        hint: `stop it first (dat-container stop ${name}), or remove it with --force`
      })
    }
    await stopContainer({ home, name, timeoutMs: 0 })
  }
  const lock = await takeLock(files.lock, { waitMs: LOCK_WAIT_MS })
  if (lock === undefined) {
    throw new ContainerError('BUSY', `container ${name} is being started`)
  }
  try {
    await removeTree(files.directory)
  } finally {
    await lock[Symbol.asyncDispose]()
  }
}
