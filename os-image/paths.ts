import { homedir } from 'node:os'
import { isAbsolute, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Arch } from './package-lock.ts'

/** The project's folder, from `build/os-image`. */
export const ROOT = fileURLToPath(new URL('../..', import.meta.url))
export const SOURCE = join(ROOT, 'os-image')
/** Kernels, packages and apt's lists, of all checkouts of this user: where XDG has caches. */
export const CACHE = join(cacheHome(), 'dat-container/os-image')

/** Where what was built for an architecture goes. */
export function outputFolder(arch: Arch): string {
  return join(SOURCE, arch === 'amd64' ? 'dist' : `dist-${arch}`)
}

/** The packages of an architecture, bound to their bytes. */
export function lockFile(arch: Arch): string {
  return join(SOURCE, arch === 'amd64' ? 'packages.lock' : `packages.${arch}.lock`)
}

/** By the XDG Base Directory Specification, which ignores a path that is not absolute. */
function cacheHome(): string {
  const given = process.env['XDG_CACHE_HOME'] ?? ''
  return isAbsolute(given) ? given : join(homedir(), '.cache')
}
