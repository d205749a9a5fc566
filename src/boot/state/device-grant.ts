import type { Stats } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join, posix } from 'node:path'
import { ContainerError } from '../../core/errors.ts'

/** A device of this machine, or a directory of some, that a container may use. */
export interface DeviceGrant {
  /** Its node on this machine, absolute. */
  readonly source: string
  /** Absolute path in the container. */
  readonly target: string
  /** Some of `r`, `w` and `m` (make nodes of it). */
  readonly access: string
}

/** The permissions on a device, in the kernel's notation. */
export interface DeviceRule {
  readonly type: 'b' | 'c'
  readonly major: number
  readonly minor: number | '*'
  readonly access: string
}

/** One node that a container is given. */
export interface DeviceNode extends DeviceRule {
  readonly minor: number
  readonly target: string
  /** Permission bits. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
}

const ALL_ACCESS = 'rwm'

/**
 * The devices that every container may use: the nodes that systemd-nspawn makes in /dev, terminals, and tunnels of its
 * own network.
 */
export const USUAL_DEVICES: readonly DeviceRule[] = [
  ...[3, 5, 7, 8, 9].map((minor) => character(1, minor)),
  character(5, 0),
  character(5, 2),
  character(10, 200),
  character(136, '*')
]

function character(major: number, minor: number | '*'): DeviceRule {
  return { type: 'c', major, minor, access: ALL_ACCESS }
}

/**
 * Reads what `--device` takes, as docker does: `/dev/X[:/dev/Y][:rwm]`.
 *
 * @throws ContainerError `USAGE`
 */
export function parseDevice(text: string): DeviceGrant {
  const [source = '', ...rest] = text.split(':')
  const access = rest.length > 0 && /^[rwm]+$/.test(rest.at(-1) ?? '') ? rest.pop() : undefined
  const [target = source, ...more] = rest
  if (!source.startsWith('/') || !target.startsWith('/') || more.length > 0) {
    throw new ContainerError('USAGE', `not a device: ${JSON.stringify(text)}`, {
      hint: 'give /dev/NAME, /dev/NAME:/dev/OTHER, or /dev/NAME:/dev/OTHER:r'
    })
  }
  return { source, target: posix.normalize(target), access: access ?? ALL_ACCESS }
}

/**
 * Finds the device nodes that grants name; a directory stands for all nodes below it.
 *
 * @throws ContainerError `NOT_FOUND`, `USAGE` for something that is not a device
 */
export async function findDevices(grants: readonly DeviceGrant[]): Promise<DeviceNode[]> {
  const found: DeviceNode[] = []
  for (const grant of grants) {
    const nodes = await nodesAt(grant)
    if (nodes.length === 0) {
      throw new ContainerError('USAGE', `${grant.source} is not a device`, {
        hint: 'use -v for files and directories'
      })
    }
    found.push(...nodes)
  }
  return found
}

async function nodesAt(grant: DeviceGrant): Promise<DeviceNode[]> {
  const { source, target, access } = grant
  const status = await stat(source).catch((cause: unknown) => {
    throw new ContainerError('NOT_FOUND', `there is no device ${source}`, { cause })
  })
  if (status.isDirectory()) {
    const below: DeviceNode[] = []
    for (const entry of await readdir(source, { withFileTypes: true })) {
      if (!entry.isDirectory() && !isDevice(entry)) continue
      const [from, to] = [join(source, entry.name), join(target, entry.name)]
      below.push(...(await nodesAt({ source: from, target: to, access })))
    }
    return below
  }
  return isDevice(status) ? [nodeOf(status, target, access)] : []
}

function isDevice(entry: Pick<Stats, 'isBlockDevice' | 'isCharacterDevice'>): boolean {
  return entry.isBlockDevice() || entry.isCharacterDevice()
}

function nodeOf(status: Stats, target: string, access: string): DeviceNode {
  const { rdev, mode, uid, gid } = status
  return {
    type: status.isBlockDevice() ? 'b' : 'c',
    // makedev(3), as glibc packs it.
    major: Math.floor(rdev / 2 ** 8) & 0xfff,
    minor: (rdev & 0xff) | (Math.floor(rdev / 2 ** 12) & 0xf_ff00),
    access,
    target,
    mode: mode & 0o777,
    uid,
    gid
  }
}

/** Names in /dev that a container has of its own, or that would give it this machine's screen. */
const OWN_NAMES =
  /^(null|zero|full|random|urandom|tty\d*|console|ptmx|pts|shm|mqueue|hugepages|fd|std(in|out|err)|core|log|net|char|block|disk|mapper|initctl|vcs.*|\.udev)$/

/** Lists all devices of this machine except its virtual consoles. */
export async function allDevices(): Promise<DeviceNode[]> {
  const names = (await readdir('/dev')).filter((name) => !OWN_NAMES.test(name))
  const found: DeviceNode[] = []
  for (const name of names) {
    const path = `/dev/${name}`
    // A node may go as we look.
    const nodes = nodesAt({ source: path, target: path, access: ALL_ACCESS })
    found.push(...(await nodes.catch(() => [])))
  }
  return found
}
