import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { execFileSync } from 'node:child_process'
import { getPriority } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'

/** What a test may leave behind on a machine. */
export interface Snapshot {
  /** `device type mountPoint` of each mount. */
  readonly mounts: readonly string[]
  /** `device: backing file`. */
  readonly loopDevices: readonly string[]
  /** `pid: command line (runtime directory and cgroup)` of processes that are ours or a container's. */
  readonly processes: readonly string[]
  /** Network namespaces that processes are in. */
  readonly networkNamespaces: readonly string[]
  readonly cgroups: readonly string[]
}

/** `ip netns add` mounts this once a boot of the machine, and keeps it. */
const NAMESPACES = '/run/netns'
/** Of the build of HyperOS that runs beside the tests, and of nothing else. */
const BUILD_NICENESS = 19
const OURS = /dat-container|systemd-nspawn|mounter|runner-main|\/build\/(src|test)\//

/** Looks at mounts, loop devices, processes, network namespaces and cgroups of this machine. */
export function snapshot(): Snapshot {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && !isOfBuild(name))
  return {
    mounts: readFileSync('/proc/self/mountinfo', 'utf8')
      .trim()
      .split('\n')
      .map(describeMount)
      .filter((mount) => !mount.endsWith(` ${NAMESPACES}`))
      .sort(),
    loopDevices: execFileSync('losetup', ['--noheadings', '--list', '--output', 'NAME,BACK-FILE'])
      .toString()
      .split('\n')
      .filter(Boolean)
      .map((line) => line.replace(/\s+/, ': '))
      .sort(),
    processes: pids.flatMap(describeProcess).sort(),
    networkNamespaces: [...new Set(pids.flatMap((pid) => link(`/proc/${pid}/ns/net`)))].sort(),
    cgroups: readdirSafely('/sys/fs/cgroup')
      .flatMap((name) => [`/sys/fs/cgroup/${name}`, `/sys/fs/cgroup/${name}/dat-container`])
      .flatMap((path) => readdirSafely(path).map((name) => `${path}/${name}`))
      .filter((path) => path.includes('dat-container'))
      .sort()
  }
}

/**
 * What is there after that was not before, one line each; empty when nothing is left. Tests of
 * others that run at the same time leave their own: `onlyWith` keeps to what contains one of these texts.
 */
export function compare(
  before: Snapshot,
  after: Snapshot,
  onlyWith: string | readonly string[] = ''
): string[] {
  const marks = typeof onlyWith === 'string' ? [onlyWith] : onlyWith
  const kinds = Object.keys(before) as (keyof Snapshot)[]
  return kinds.flatMap((kind) => {
    const known = new Set(before[kind])
    return after[kind]
      .filter((item) => !known.has(item) && marks.some((mark) => item.includes(mark)))
      .map((item) => `${kind}: ${item}`)
  })
}

/** Compares again and again until nothing is left or `timeoutMs` is over. @returns what is left */
export async function leftAfter(
  before: Snapshot,
  onlyWith: string | readonly string[] = '',
  timeoutMs = 8000
): Promise<string[]> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const left = compare(before, snapshot(), onlyWith)
    if (left.length === 0 || performance.now() > deadline) return left
    await sleep(100)
  }
}

/** What all that a sandbox has on the machine carries: its directory, or the id of one of its homes. */
export function marksOf({ directory }: { readonly directory: string }): string[] {
  return [directory, ...readdirSafely(`${directory}/run`)]
}

function describeMount(line: string): string {
  const fields = line.split(' ')
  const [type] = (line.split(' - ')[1] ?? '').split(' ')
  return `${fields[2]} ${type} ${fields[4]}`
}

function describeProcess(pid: string): string[] {
  try {
    const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()
    const inContainer = link(`/proc/${pid}/ns/pid`)[0] !== link('/proc/self/ns/pid')[0]
    return Number(pid) !== process.pid && (inContainer || OURS.test(command))
      ? [`${pid}: ${command} (${ownerOf(pid)})`]
      : []
  } catch {
    return []
  }
}

function isOfBuild(pid: string): boolean {
  try {
    return getPriority(Number(pid)) === BUILD_NICENESS
  } catch {
    return false
  }
}

/** Whose process it is: its runtime directory, or the cgroup that carries its home's id. */
function ownerOf(pid: string): string {
  const environment = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0')
  const runtime = environment.find((text) => text.startsWith('DAT_CONTAINER_RUNTIME_DIR=')) ?? ''
  const cgroups = readFileSync(`/proc/${pid}/cgroup`, 'utf8').split('\n')
  const cgroup = cgroups.find((text) => text.includes('/dat-container')) ?? ''
  return `${runtime} ${cgroup}`.trim()
}

function link(path: string): string[] {
  try {
    return [readlinkSync(path)]
  } catch {
    return []
  }
}

function readdirSafely(path: string): string[] {
  try {
    return readdirSync(path)
  } catch {
    return []
  }
}
