import { homedir } from 'node:os'
import { isAbsolute, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The project's folder, from `build/os-image`. */
export const ROOT = fileURLToPath(new URL('../..', import.meta.url))
export const SOURCE = join(ROOT, 'os-image')
/** Kernels, packages and apt's lists, of all checkouts of this user: where XDG has caches. */
export const CACHE = join(cacheHome(), 'dat-container/os-image')
export const OUTPUT = join(SOURCE, 'dist')

/** By the XDG Base Directory Specification, which ignores a path that is not absolute. */
function cacheHome(): string {
  const given = process.env['XDG_CACHE_HOME'] ?? ''
  return isAbsolute(given) ? given : join(homedir(), '.cache')
}
