import { existsSync, readdirSync } from 'node:fs'
import { mkdir, rmdir, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { systemErrorCode } from '../../core/errors.ts'
import { readHierarchies } from '../../core/host/cgroup-hierarchies.ts'
import type { DeviceRule } from '../state/device-grant.ts'
import { runCommand } from '../../core/host/host-command.ts'
import { readProcFile } from '../../core/host/process-table.ts'

const REMOVE_ATTEMPTS = 50
const RETRY_MS = 20
const ROOT_NAME = 'dat-container'
/**
 * Version 1's `devices` gets two levels: the rules are on the upper one, and the container sees the lower one
 * alone, so that no power in it lifts them.
 */
const DEVICES_LEAF = 'devices'

/** Names the directories of a container's own cgroup, one per hierarchy, for hosts without systemd. */
export function ownCgroups(
  homeId: string,
  name: string,
  hierarchies = readHierarchies()
): string[] {
  return hierarchies.map(({ mountPoint, devices }) =>
    join(mountPoint, ROOT_NAME, homeId, name, devices === true ? DEVICES_LEAF : '')
  )
}

const DEVICES_LINE = /^\d+:(?:[^:]*,)?devices(?:,[^:]*)?:(.*)$/m

/** Finds the cgroup directories of a process, without nspawn's `supervisor` part. */
export function cgroupsOf(pid: number, hierarchies = readHierarchies()): string[] {
  const text = readProcFile(`/proc/${pid}/cgroup`) ?? ''
  return hierarchies.flatMap(({ mountPoint, version, devices }) => {
    const named = devices === true ? DEVICES_LINE : /^\d+:name=systemd:(.*)$/m
    const pattern = version === 2 ? /^0::(.*)$/m : named
    const path = pattern.exec(text)?.[1]?.replace(/\/supervisor$/, '')
    return path === undefined || path === '/' ? [] : [join(mountPoint, path)]
  })
}

/**
 * Wraps `command` so that it first joins the cgroups in `directories`. It exits with 125 if it cannot join one
 * that restricts devices.
 */
export function inCgroups(directories: readonly string[], command: readonly string[]): string[] {
  if (directories.length === 0) return [...command]
  const script =
    'n=$1; shift; while [ "$n" -gt 0 ]; do echo $$ > "$1/cgroup.procs" 2>/dev/null || ' +
    `case "$1" in */${DEVICES_LEAF}|*/${DEVICES_LEAF}/*) exit 125;; esac; ` +
    '[ -d "$1" ] || exit 125; shift; n=$((n-1)); done; exec "$@"'
  return ['sh', '-c', script, 'sh', String(directories.length), ...directories, ...command]
}

/**
 * Makes cgroups, and skips hierarchies that do not permit it.
 *
 * @param devices what may be used in them, where version 1 of cgroups restricts that; @default all
 * @returns those that exist now
 */
export async function makeCgroups(
  directories: readonly string[],
  devices?: readonly DeviceRule[]
): Promise<string[]> {
  const made: string[] = []
  for (const directory of directories) {
    try {
      if (devices !== undefined && basename(directory) === DEVICES_LEAF) {
        await restrictDevices(dirname(directory), devices)
      }
      await mkdir(directory, { recursive: true })
      made.push(directory)
    } catch (error) {
      if (!['EROFS', 'EACCES', 'EPERM', 'ENOENT'].includes(systemErrorCode(error) ?? ''))
        throw error
    }
  }
  return made
}

/** Before anything is below: the kernel takes no such rules after that. */
async function restrictDevices(directory: string, rules: readonly DeviceRule[]): Promise<void> {
  await mkdir(directory, { recursive: true })
  await writeFile(join(directory, 'devices.deny'), 'a')
  for (const { type, major, minor, access } of rules) {
    await writeFile(join(directory, 'devices.allow'), `${type} ${major}:${minor} ${access}`)
  }
}

/** Lists the ids of all processes in cgroups and below. */
export function cgroupPids(directories: readonly string[]): number[] {
  const pids = new Set<number>()
  for (const directory of directories.flatMap(withDescendants)) {
    for (const line of processLines(directory)) {
      // 0 stands for a process of a PID namespace that we do not see into.
      if (Number(line) > 0) pids.add(Number(line))
    }
  }
  return [...pids]
}

/** None of a threaded one, whose processes are listed further up. */
function processLines(directory: string): string[] {
  try {
    return (readProcFile(join(directory, 'cgroup.procs')) ?? '').split('\n')
  } catch (error) {
    if (OF_CONTAINERS.has(systemErrorCode(error) ?? '')) return []
    throw error
  }
}

/** Kills all processes in the cgroups, and waits until they are gone. */
export async function killCgroups(directories: readonly string[]): Promise<void> {
  for (let attempt = 0; attempt < REMOVE_ATTEMPTS; attempt++) {
    const pids = cgroupPids(directories).filter((pid) => pid !== process.pid)
    if (pids.length === 0) return
    for (const directory of directories) {
      // cgroup.kill (Linux 5.14) catches forks that a walk over ids misses.
      await writeFile(join(directory, 'cgroup.kill'), '1').catch(() => {})
    }
    for (const pid of pids) {
      try {
        process.kill(pid, 'SIGKILL')
      } catch (error) {
        if (systemErrorCode(error) !== 'ESRCH') throw error
      }
    }
    await sleep(RETRY_MS)
  }
}

/**
 * Removes cgroups of ours and all below them.
 *
 * @param options.parents `own`: those above that `ownCgroups` named go too, where nobody else uses them
 */
export async function removeCgroups(
  directories: readonly string[],
  options: { parents: 0 | 'own' }
): Promise<void> {
  for (const directory of directories) {
    for (let attempt = 0; attempt < REMOVE_ATTEMPTS && existsSync(directory); attempt++) {
      for (const path of withDescendants(directory).toReversed()) await rmdir(path).catch(() => {})
      // A cgroup stays busy for a moment after its last process is gone.
      if (!existsSync(directory)) break
      if (attempt === 1) await removeOddBelow(directory)
      await sleep(RETRY_MS)
    }
    let parent = options.parents === 'own' ? directory : ''
    while (basename(parent) !== ROOT_NAME && parent.includes(`/${ROOT_NAME}/`)) {
      parent = dirname(parent)
      await rmdir(parent).catch(() => {})
    }
  }
}

/** Removes cgroups that a container nested too deeply, or named too oddly, for Node.js. */
async function removeOddBelow(directory: string): Promise<void> {
  const args = [directory, '-mindepth', '1', '-depth', '-type', 'd', '-delete']
  // The rest is tried again, and stays if it cannot be removed.
  await runCommand('find', args).catch(() => {})
}

/**
 * Errors of what a container has made in its own cgroup: a path longer than the kernel takes, a threaded
 * cgroup. They must not keep it from being stopped.
 */
const OF_CONTAINERS = new Set(['ENAMETOOLONG', 'EOPNOTSUPP', 'ENOTSUP', 'ENODEV'])

/**
 * A directory and all below it, parents first, but what a container has hidden by depth or odd names:
 * its processes end with its PID 1.
 */
function withDescendants(directory: string): string[] {
  try {
    const below = readdirSync(directory, { withFileTypes: true }).filter((e) => e.isDirectory())
    return [directory, ...below.flatMap(({ name }) => withDescendants(join(directory, name)))]
  } catch (error) {
    const code = systemErrorCode(error) ?? ''
    if (code === 'ENOENT' || OF_CONTAINERS.has(code)) return []
    throw error
  }
}
