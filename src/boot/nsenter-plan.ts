import type { ContainerUser } from './container-user.ts'
import { hostProgram } from './package-manager.ts'

export interface NsenterOptions {
  /** PID 1 of the container, as the host numbers it. */
  readonly leaderPid: number
  readonly argv: readonly string[]
  /** Working directory in the container. */
  readonly cwd: string
  /** @default root with no supplementary groups */
  readonly user?: Pick<ContainerUser, 'uid' | 'gid' | 'groups'>
  /** CapBnd of the leader (hexadecimal); undefined leaves all. */
  readonly capabilityBound?: string
  /** Whether the container has a user namespace of its own. @default false */
  readonly userNamespace?: boolean
  /** Make the terminal on standard input the controlling one of the command. @default false */
  readonly terminal?: boolean
}

/** What nsenter itself needs until it is inside; a set without these can't be put on before it. */
const CAP_SYS_CHROOT = 18n
const CAP_SYS_ADMIN = 21n
/** Numbers above the running kernel's last capability make setpriv fail. */
const CAPABILITY_BITS = 41n

/**
 * The command line that runs `argv` in a container's namespaces. The caller's spawn gives it its
 * environment; hence the full paths, as PATH is then the container's. Groups are set on the way in
 * (nsenter would drop them), the user last. The bounding set is the container's own, else a process
 * of the container could borrow from this one what it was denied itself.
 */
export function planNsenter(options: NsenterOptions): string[] {
  const { leaderPid, argv, cwd, user, userNamespace = false, terminal = false } = options
  const uid = user?.uid ?? 0
  const gid = user?.gid ?? 0
  const groups = user?.groups ?? [0]
  return [
    hostProgram('setpriv'),
    ...(userNamespace ? [] : [`--regid=${gid}`, `--groups=${groups.join(',')}`]),
    ...boundingSet(options.capabilityBound),
    '--',
    ...(terminal ? sessionInside(leaderPid) : []),
    hostProgram('nsenter'),
    `--target=${leaderPid}`,
    ...(userNamespace ? ['--user'] : []),
    '--mount',
    '--uts',
    '--ipc',
    '--net',
    ...(terminal ? [] : ['--pid']),
    '--cgroup',
    '--root',
    `--wdns=${cwd}`,
    `--setuid=${uid}`,
    // Inside a user namespace ids mean others than outside, so nsenter sets both.
    ...(userNamespace ? [`--setgid=${gid}`] : []),
    '--',
    ...argv
  ]
}

/**
 * A shell must see the leader of its process group, so its session has to begin in the container's
 * PID namespace; the host's setsid(1) can begin it there while the rest is still the host's.
 */
function sessionInside(leaderPid: number): string[] {
  const enter = [hostProgram('nsenter'), `--target=${leaderPid}`, '--pid', '--']
  return [...enter, hostProgram('setsid'), '--ctty', '--']
}

function boundingSet(mask: string | undefined): string[] {
  if (mask === undefined) return []
  const bits = BigInt(`0x${mask}`)
  const has = (bit: bigint): boolean => ((bits >> bit) & 1n) === 1n
  if (!has(CAP_SYS_ADMIN) || !has(CAP_SYS_CHROOT)) return []
  const kept: string[] = []
  for (let bit = 0n; bit < CAPABILITY_BITS; bit++) if (has(bit)) kept.push(`+cap_${bit}`)
  return [`--bounding-set=-all,${kept.join(',')}`]
}
