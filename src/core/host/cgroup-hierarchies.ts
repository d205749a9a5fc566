import { readFileSync } from 'node:fs'

/**
 * The cgroup hierarchies that matter: the unified one, and on hosts that still have them version 1's
 * `name=systemd`, which systemd-nspawn cares for, and `devices`. Without systemd on the host nobody gives a container a cgroup
 * of its own, and two containers that share one would each take the other's for theirs.
 */
export interface CgroupHierarchy {
  readonly mountPoint: string
  readonly version: 1 | 2
  /** It says which devices may be used. */
  readonly devices?: true
}

/** The hierarchies in the text of a mountinfo file. */
export function parseHierarchies(mountInfo: string): CgroupHierarchy[] {
  const found: CgroupHierarchy[] = []
  for (const line of mountInfo.split('\n')) {
    const [front = '', back = ''] = line.split(' - ')
    const mountPoint = front.split(' ')[4] ?? ''
    const [type, , options = ''] = back.split(' ')
    if (type === 'cgroup2') found.push({ mountPoint, version: 2 })
    if (type !== 'cgroup') continue
    const controllers = options.split(',')
    if (controllers.includes('name=systemd')) found.push({ mountPoint, version: 1 })
    if (controllers.includes('devices')) found.push({ mountPoint, version: 1, devices: true })
  }
  return found.filter(
    ({ mountPoint }, index) => found.findIndex((other) => other.mountPoint === mountPoint) === index
  )
}

/** The hierarchies of this machine. */
export function readHierarchies(): CgroupHierarchy[] {
  return parseHierarchies(readFileSync('/proc/self/mountinfo', 'utf8'))
}
