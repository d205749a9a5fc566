import { readProcFile } from '../../core/host/process-table.ts'

/**
 * Converts an id in a process's user namespace to the id on this machine.
 *
 * @param map text of `uid_map` or `gid_map` (user_namespaces(7))
 * @returns -1, which fchown(2) ignores, for an id that the namespace lacks
 */
export function hostIdOfProcess(pid: number, map: 'uid_map' | 'gid_map', id: number): number {
  for (const line of (readProcFile(`/proc/${pid}/${map}`) ?? '').trim().split('\n')) {
    const [inside = 0, outside = 0, length = 0] = line.trim().split(/\s+/).map(Number)
    if (id >= inside && id < inside + length) return outside + (id - inside)
  }
  return -1
}
