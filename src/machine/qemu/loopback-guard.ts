import { existsSync, readFileSync } from 'node:fs'
import { mkdir, open, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { cgroupsOf, ownCgroups, removeCgroups } from '../../boot/nspawn/cgroup.ts'
import { readHierarchies } from '../../core/host/cgroup-hierarchies.ts'
import { attachToCgroup, type Hook } from './bpf.ts'
import {
  and,
  assemble,
  ifEqual,
  ifLess,
  ifNotEqual,
  label,
  load32,
  load64,
  or,
  result,
  type Instruction
} from './bpf-program.ts'
import type { MachineHome, MachinePaths } from '../state/machine-paths.ts'

/** Offsets in `struct bpf_sock_addr`, and in the `struct bpf_sock` that it points to. */
const ADDRESS = { ip4: 4, ip6: 8, port: 24, socket: 64 } as const
const SOCKET_PORT = 44
const DNS = 53
const LOOPBACK_OCTET = 127
/** `::1` and the prefix of IPv4 addresses, as little-endian machines read them. */
const LAST_OF_LOOPBACK_6 = 0x0100_0000
const MAPPED_PREFIX = 0xffff_0000

/** The port of this machine's loopback that a guarded process may reach. */
export interface LoopbackRule {
  /** The daemon's, where guests have it. */
  readonly tcpPort: number | undefined
  /** This machine's own resolver is there, and names are asked of it. */
  readonly resolver: boolean
  /** The first port that the kernel gives by itself: answers come from those below. */
  readonly firstEphemeral: number
}

/**
 * Plans a BPF program that decides about each connection and datagram of a cgroup; pure. It refuses 127.0.0.0/8,
 * 0.0.0.0/8, ::1, ::, and IPv4 addresses written as IPv6.
 */
export function planGuard(hook: Hook, rule: LoopbackRule): Uint8Array {
  const isDatagram = hook.startsWith('send')
  return assemble([
    ...(hook.endsWith('4') ? whereLoopback4() : whereLoopback6()),
    label('allow'),
    ...result(1),
    label('loopback'),
    load32(2, 1, ADDRESS.port),
    ...(rule.tcpPort === undefined || isDatagram
      ? []
      : [ifEqual(2, networkOrder(rule.tcpPort), 'allow')]),
    ...(rule.resolver ? [ifEqual(2, networkOrder(DNS), 'allow')] : []),
    ...(isDatagram ? whereAnswer(rule.firstEphemeral) : []),
    label('refuse'),
    ...result(0)
  ])
}

function whereLoopback4(): Instruction[] {
  return [
    load32(2, 1, ADDRESS.ip4),
    and(2, 0xff),
    ifEqual(2, LOOPBACK_OCTET, 'loopback'),
    ifEqual(2, 0, 'loopback')
  ]
}

function whereLoopback6(): Instruction[] {
  return [
    load32(2, 1, ADDRESS.ip6),
    load32(3, 1, ADDRESS.ip6 + 4),
    or(2, 3),
    ifNotEqual(2, 0, 'allow'),
    load32(2, 1, ADDRESS.ip6 + 8),
    load32(3, 1, ADDRESS.ip6 + 12),
    ifEqual(2, MAPPED_PREFIX, 'mapped'),
    ifNotEqual(2, 0, 'allow'),
    ifEqual(3, 0, 'loopback'),
    ifEqual(3, LAST_OF_LOOPBACK_6, 'loopback'),
    ifEqual(2, 0, 'allow'),
    label('mapped'),
    and(3, 0xff),
    ifEqual(3, LOOPBACK_OCTET, 'loopback'),
    ifEqual(3, 0, 'loopback')
  ]
}

/** A datagram from a port that QEMU forwards answers somebody here; the guest cannot choose such a port. */
function whereAnswer(firstEphemeral: number): Instruction[] {
  return [
    load64(3, 1, ADDRESS.socket),
    load32(4, 3, SOCKET_PORT),
    ifEqual(4, 0, 'refuse'),
    ifLess(4, firstEphemeral, 'allow')
  ]
}

function networkOrder(port: number): number {
  return ((port & 0xff) << 8) | (port >> 8)
}

/** The name of a machine's cgroup. It has a dot, which names of containers never have. */
export interface GuardPlace {
  readonly homeId: string
  readonly name: string
}

/** Names the cgroup of a machine's QEMU for {@link guardLoopback}. */
export function guardPlace(
  { running }: Pick<MachineHome, 'running'>,
  { name }: Pick<MachinePaths, 'name'>
): GuardPlace {
  return { homeId: basename(dirname(running)), name: `machine.${name}` }
}

/**
 * Keeps a process, and all that it starts, from this machine's loopback but for the port of the daemon.
 * In force when this returns, as long as the process lives.
 *
 * @param place names the cgroup that it is given, where systemd has not given it one
 * @returns undefined where it is in force, else why it cannot be
 */
export async function guardLoopback(
  pid: number,
  place: GuardPlace,
  tcpPort: number | undefined
): Promise<string | undefined> {
  if (process.platform !== 'linux') return 'preventing it requires Linux'
  if (process.getuid?.() !== 0) return 'preventing it requires root'
  const unified = readHierarchies().filter(({ version }) => version === 2)
  if (unified.length === 0) return 'preventing it requires cgroup version 2'
  try {
    const directory = await cgroupFor(pid, place, unified)
    await using opened = await open(directory, 'r')
    const rule = { tcpPort, resolver: hasLocalResolver(), firstEphemeral: firstEphemeral() }
    for (const hook of ['connect4', 'connect6', 'send4', 'send6'] as const) {
      attachToCgroup(opened.fd, hook, planGuard(hook, rule))
    }
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}

/** Removes the cgroup of a process that has ended, if {@link guardLoopback} made one. */
export async function removeGuard({ homeId, name }: GuardPlace): Promise<void> {
  if (process.platform !== 'linux') return
  const made = ownCgroups(homeId, name).filter((directory) => existsSync(directory))
  await removeCgroups(made, { parents: 'own' })
}

/** A scope of systemd is the machine's own; elsewhere one is made. */
async function cgroupFor(
  pid: number,
  { homeId, name }: GuardPlace,
  unified: ReturnType<typeof readHierarchies>
): Promise<string> {
  const scope = cgroupsOf(pid, unified).find((path) => path.endsWith('.scope'))
  if (scope?.includes('dat-machine-')) return scope
  const [directory = ''] = ownCgroups(homeId, name, unified)
  await mkdir(directory, { recursive: true })
  await writeFile(join(directory, 'cgroup.procs'), String(pid))
  return directory
}

function hasLocalResolver(): boolean {
  try {
    return /^nameserver\s+(127\.|::1)/m.test(readFileSync('/etc/resolv.conf', 'utf8'))
  } catch {
    return false
  }
}

function firstEphemeral(): number {
  return Number(readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').split(/\s/)[0])
}
