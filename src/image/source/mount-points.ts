import { readFileSync } from 'node:fs'

const MOUNT_POINT_FIELD = 4

/**
 * Absolute paths at which something is mounted, as this process sees them; latin1 text, a unit a byte. Empty on a
 * system that does not tell.
 */
export function mountPoints(): ReadonlySet<string> {
  return new Set(mountLines().map((line) => unescaped(line.split(' ')[MOUNT_POINT_FIELD] ?? '')))
}

/** File systems that show the kernel of this machine, and nothing that anybody has written. */
const OF_KERNEL: ReadonlySet<string> = new Set(
  [
    ['proc', 'sysfs', 'cgroup', 'cgroup2', 'debugfs', 'tracefs', 'securityfs', 'configfs'],
    ['pstore', 'bpf', 'binfmt_misc', 'efivarfs', 'selinuxfs', 'fusectl', 'rpc_pipefs']
  ].flat()
)

/**
 * Where the kernel's own file systems are mounted below a directory; none where there is no way to tell.
 *
 * @param directory absolute, free of symlinks
 * @returns paths from there, those below others left out
 */
export function kernelMountsIn(directory: string): string[] {
  const prefix = directory === '/' ? '/' : `${directory}/`
  const found = mountLines().flatMap((line) => {
    const point = fromLatin1(unescaped(line.split(' ')[MOUNT_POINT_FIELD] ?? ''))
    const type = line.split(' - ')[1]?.split(' ')[0] ?? ''
    return OF_KERNEL.has(type) && point.startsWith(prefix) ? [point.slice(prefix.length)] : []
  })
  return [...new Set(found)].filter((path) => !found.some((other) => path.startsWith(`${other}/`)))
}

function fromLatin1(text: string): string {
  return Buffer.from(text, 'latin1').toString()
}

function mountLines(): string[] {
  try {
    return readFileSync('/proc/self/mountinfo', 'latin1').split('\n')
  } catch {
    return []
  }
}

/** Blanks, line breaks and backslashes are octal numbers in the table. */
function unescaped(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_whole, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8))
  )
}
