import { readFile } from 'node:fs/promises'

/** One line of /proc/self/mountinfo (proc(5)). */
export interface MountEntry {
  readonly id: number
  /** `major:minor` of the superblock; names its directory under /sys/class/bdi for FUSE. */
  readonly device: string
  readonly mountPoint: string
  readonly type: string
  readonly source: string
}

/** Parses the text of a mountinfo file; lines in the order of mounting. */
export function parseMountInfo(text: string): MountEntry[] {
  const entries: MountEntry[] = []
  for (const line of text.split('\n')) {
    // Optional fields of unknown number end with a lone dash.
    const [front, back] = line.split(' - ')
    const [id, , device, , mountPoint] = (front ?? '').split(' ')
    const [type, source] = (back ?? '').split(' ')
    if (id === undefined || device === undefined || mountPoint === undefined) continue
    if (type === undefined) continue
    entries.push({
      id: Number(id),
      device,
      mountPoint: unescape(mountPoint),
      type,
      source: unescape(source ?? '')
    })
  }
  return entries
}

/** Space, tab, newline and backslash are written as three octal digits, byte by byte. */
function unescape(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8))
  )
}

/** The mounts this process sees. Reads no mounted filesystem, so a dead one can't hang it. */
export async function readMountTable(): Promise<MountEntry[]> {
  return parseMountInfo(await readFile('/proc/self/mountinfo', 'utf8'))
}

/** Mounts at or below `directory` (absolute, free of symlinks), the last mounted first. */
export function mountsUnder(table: readonly MountEntry[], directory: string): MountEntry[] {
  const below = directory.endsWith('/') ? directory : `${directory}/`
  return table
    .filter(({ mountPoint }) => mountPoint === directory || mountPoint.startsWith(below))
    .toReversed()
}

/** Where the file system is mounted that holds `path` (absolute, free of symlinks). */
export function mountPointOf(path: string, mountPoints: readonly string[]): string {
  const holding = mountPoints.filter(
    (point) => path === point || path.startsWith(point.endsWith('/') ? point : `${point}/`)
  )
  return holding.reduce((longest, point) => (point.length > longest.length ? point : longest), '/')
}
