import { spawn, type ChildProcess, type StdioOptions } from 'node:child_process'
import { constants } from 'node:os'
import { mkdir, rmdir, statfs } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { mount } from '../../fuse/linux/mount-syscall.ts'
import { unmount } from '../../fuse/linux/bind-mount.ts'
import { missingTool } from '../../core/host/host-command.ts'
import { HOST_PATH, isOnHost } from '../../core/host/package-manager.ts'
import {
  childrenOf,
  identify,
  innermostPid,
  type ProcessIdentity
} from '../../core/host/process-table.ts'

/** f_type of tmpfs, from linux/magic.h. */
const TMPFS_MAGIC = 0x01_02_19_94
const PROPAGATE_ROOT = '/run/systemd/nspawn/propagate'
const LEADER_POLL_MS = 3
const SIGNAL_EXIT_BASE = 128

/** A started systemd-nspawn. */
export interface NspawnProcess {
  readonly child: ChildProcess
  readonly identity: ProcessIdentity
  /** Its exit code once it has ended and its pipes are drained; 128 + n for a signal. */
  readonly exited: Promise<number>
}

/**
 * Starts systemd-nspawn (`command` includes what wraps it) in a session of its own, so that a
 * terminal's Ctrl-C reaches it through us alone. If this process dies, nspawn gets SIGTERM and stops
 * the container in order.
 *
 * @param environment variables that `--setenv=NAME` arguments refer to
 * @param notifySocket where it tells of the container, by sd_notify(3)
 * @throws ContainerError `MISSING_TOOL`
 */
export async function startNspawn(
  command: readonly string[],
  stdio: StdioOptions,
  environment: Readonly<Record<string, string>>,
  notifySocket?: string
): Promise<NspawnProcess> {
  for (const tool of ['systemd-nspawn', 'setpriv']) {
    if (!isOnHost(tool)) throw await missingTool(tool)
  }
  const child = spawn('setpriv', ['--pdeathsig', 'TERM', '--', ...command], {
    stdio,
    detached: true,
    cwd: '/',
    env: {
      ...environment,
      ...nspawnEnvironment(),
      ...(notifySocket === undefined ? {} : { NOTIFY_SOCKET: notifySocket })
    }
  })
  const exited = new Promise<number>((resolve) => {
    child.once('close', (code, signal) => {
      resolve(code ?? SIGNAL_EXIT_BASE + (signal === null ? 0 : constants.signals[signal]))
    })
  })
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve)
    child.once('error', reject)
  })
  const identity = identify(child.pid ?? 0) ?? { pid: child.pid ?? 0, startTicks: 0 }
  return { child, identity, exited }
}

/** Little, as a variable of the SYSTEMD_ family in a user's shell would change what nspawn does. */
function nspawnEnvironment(): NodeJS.ProcessEnv {
  const { TERM, LANG } = process.env
  return {
    PATH: HOST_PATH,
    // Each container has a root directory and a lock of its own already.
    SYSTEMD_NSPAWN_LOCK: '0',
    ...(TERM === undefined ? {} : { TERM }),
    ...(LANG === undefined ? {} : { LANG })
  }
}

/**
 * Finds PID 1 of the container that `nspawnPid` runs.
 *
 * @returns undefined before it starts and after it ended
 */
export function findLeader(nspawnPid: number): ProcessIdentity | undefined {
  const leader = childrenOf(nspawnPid).find((pid) => innermostPid(pid) === 1)
  return leader === undefined ? undefined : identify(leader)
}

/** Waits for the container's PID 1. @returns undefined when nspawn ended without one */
export async function waitForLeader(nspawn: NspawnProcess): Promise<ProcessIdentity | undefined> {
  let ended = false
  void nspawn.exited.then(() => (ended = true))
  for (;;) {
    const leader = findLeader(nspawn.identity.pid)
    if (leader !== undefined || ended) return leader
    await sleep(LEADER_POLL_MS)
  }
}

/**
 * Finds the command that nspawn's stub init runs in process mode.
 *
 * @returns undefined while it has not started
 */
export function findCommandProcess(leader: ProcessIdentity): ProcessIdentity | undefined {
  const [first] = childrenOf(leader.pid)
  return first === undefined ? undefined : identify(first)
}

/**
 * Mounts a tmpfs on the directory below /run that nspawn keeps for a machine, if /run is on a disk. nspawn would
 * complain there that it cannot remove the directory.
 *
 * @returns undoes it
 */
export async function preparePropagation(machine: string): Promise<() => Promise<void>> {
  await mkdir(PROPAGATE_ROOT, { recursive: true, mode: 0o700 })
  if ((await statfs(PROPAGATE_ROOT)).type === TMPFS_MAGIC) return async () => {}
  const target = propagationDirectory(machine)
  await mkdir(target, { recursive: true, mode: 0o700 })
  await mount({ source: 'tmpfs', target, type: 'tmpfs', flags: 0, data: 'mode=700,size=1m' })
  return () => removePropagation(machine)
}

/** Unmounts and removes nspawn's directory of a machine. A second call does nothing. */
export async function removePropagation(machine: string): Promise<void> {
  const target = propagationDirectory(machine)
  await unmount(target, { lazy: 'if-busy' })
  await rmdir(target).catch(() => {})
}

function propagationDirectory(machine: string): string {
  return `${PROPAGATE_ROOT}/${machine}`
}
