import { readProcFile } from '../../core/host/process-table.ts'

/**
 * The id on this machine of an id that a process has in its user namespace.
 *
 * @param map `uid_map` or `gid_map`
 * @returns -1, which fchown(2) leaves alone, for one that the namespace does not have
 */
export function hostId(pid: number, map: 'uid_map' | 'gid_map', id: number): number {
  for (const line of (readProcFile(`/proc/${pid}/${map}`) ?? '').trim().split('\n')) {
    const [inside = 0, outside = 0, length = 0] = line.trim().split(/\s+/).map(Number)
    if (id >= inside && id < inside + length) return outside + (id - inside)
  }
  return -1
}
