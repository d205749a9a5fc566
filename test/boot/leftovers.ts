import { execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** What this test process has on the machine. What others have there is left out. */
export interface Snapshot {
  /** `device type mountPoint` of each mount. */
  readonly mounts: readonly string[]
  /** `device: backing file`. */
  readonly loopDevices: readonly string[]
  /** `pid: command line (runtime directory and cgroup)`. */
  readonly processes: readonly string[]
  /** Names in /run/netns, and namespaces that our processes are in, but the host's. */
  readonly networkNamespaces: readonly string[]
  readonly cgroups: readonly string[]
}

/**
 * Everything that a test makes is below this directory, or carries its path: it is the TMPDIR of this
 * process, so that homes and mount points are in it and child processes have it in their environment.
 */
const SCOPE = mkdtempSync(join(tmpdir(), 'dct-'))
// Tests that run a command as another user reach what they made for it.
chmodSync(SCOPE, 0o711)
process.env['TMPDIR'] = SCOPE
process.env['DAT_CONTAINER_RUNTIME_DIR'] ??= join(SCOPE, 'run')
process.once('exit', removeScope)

/** A mounter lingers, and a busy machine takes its time; it only ends what stays. */
const LEAVING_MS = 30_000
/** Each look reads several files of every process of the machine. */
const LOOK_AGAIN_MS = 250

/** Ids of homes in the scope, kept when the homes are gone: cgroups are named by them. */
const homeIds = new Set<string>()

/** Looks at mounts, loop devices, processes, network namespaces and cgroups of this test process. */
export function snapshot(): Snapshot {
  rememberHomes()
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && isOurs(name))
  return {
    mounts: readFileSync('/proc/self/mountinfo', 'utf8')
      .trim()
      .split('\n')
      .filter((line) => line.includes(SCOPE))
      .map(describeMount)
      .sort(),
    loopDevices: execFileSync('losetup', ['--noheadings', '--list', '--output', 'NAME,BACK-FILE'])
      .toString()
      .split('\n')
      .filter((line) => line.includes(SCOPE))
      .map((line) => line.replace(/\s+/, ': '))
      .sort(),
    processes: pids.map(describeProcess).sort(),
    networkNamespaces: [
      ...new Set(pids.flatMap((pid) => link(`/proc/${pid}/ns/net`)).filter(isNotHosts)),
      ...readdirSafely('/run/netns').filter((name) => name.includes(`-${process.pid}-`))
    ].sort(),
    cgroups: readdirSafely('/sys/fs/cgroup')
      .flatMap((name) => [`/sys/fs/cgroup/${name}`, `/sys/fs/cgroup/${name}/dat-container`])
      .flatMap((path) => readdirSafely(path).map((name) => `${path}/${name}`))
      .filter((path) => carriesHomeId(path))
      .sort()
  }
}

/**
 * What is there after that was not before, one line each; empty when nothing is left. A test with
 * several homes keeps to what contains one of the texts `onlyWith`.
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
  timeoutMs = LEAVING_MS
): Promise<string[]> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const left = compare(before, snapshot(), onlyWith)
    if (left.length === 0 || performance.now() > deadline) return left
    await sleep(LOOK_AGAIN_MS)
  }
}

/** Notes the homes that there are: call it before a test removes the directory that holds them. */
export function rememberHomes(): void {
  const runtimes = [SCOPE, ...readdirSafely(SCOPE).map((name) => join(SCOPE, name))]
  for (const id of runtimes.flatMap((path) => readdirSafely(join(path, 'run')))) homeIds.add(id)
}

/** By what it was started with, the cgroup it is in, or what is mounted where it lives. */
function isOurs(pid: string): boolean {
  if (Number(pid) === process.pid) return false
  if (['cmdline', 'environ'].some((name) => readSafely(`/proc/${pid}/${name}`).includes(SCOPE)))
    return true
  if (carriesHomeId(readSafely(`/proc/${pid}/cgroup`))) return true
  // A container's processes have neither; the overlay that is their root has its upper directory here.
  const mountNamespace = link(`/proc/${pid}/ns/mnt`)[0]
  if (mountNamespace === undefined || mountNamespace === link('/proc/self/ns/mnt')[0]) return false
  return readSafely(`/proc/${pid}/mountinfo`).includes(SCOPE)
}

function isNotHosts(networkNamespace: string): boolean {
  return networkNamespace !== link('/proc/self/ns/net')[0]
}

function carriesHomeId(text: string): boolean {
  return [...homeIds].some((id) => text.includes(id))
}

function describeMount(line: string): string {
  const fields = line.split(' ')
  const [type] = (line.split(' - ')[1] ?? '').split(' ')
  return `${fields[2]} ${type} ${fields[4]}`
}

/** With its runtime directory, and the cgroup that carries its home's id. */
function describeProcess(pid: string): string {
  const command = readSafely(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim()
  const environment = readSafely(`/proc/${pid}/environ`).split('\0')
  const runtime = environment.find((text) => text.startsWith('DAT_CONTAINER_RUNTIME_DIR=')) ?? ''
  const cgroups = readSafely(`/proc/${pid}/cgroup`).split('\n')
  const cgroup = cgroups.find((text) => text.includes('/dat-container')) ?? ''
  return `${pid}: ${command} (${`${runtime} ${cgroup}`.trim()})`
}

/** Nothing is removed below a mount that a failed test left. */
function removeScope(): void {
  if (readFileSync('/proc/self/mountinfo', 'utf8').includes(SCOPE)) return
  rmSync(SCOPE, { recursive: true, force: true })
}

function link(path: string): string[] {
  try {
    return [readlinkSync(path)]
  } catch {
    return []
  }
}

function readSafely(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

function readdirSafely(path: string): string[] {
  try {
    return readdirSync(path)
  } catch {
    return []
  }
}
