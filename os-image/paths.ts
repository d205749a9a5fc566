import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Arch } from './package-lock.ts'

/** The project's folder, from `build/os-image`. */
export const ROOT = fileURLToPath(new URL('../..', import.meta.url))
export const SOURCE = join(ROOT, 'os-image')
export const CACHE = join(ROOT, '.cache/os-image')

/** Where what was built for an architecture goes. */
export function outputFolder(arch: Arch): string {
  return join(SOURCE, arch === 'amd64' ? 'dist' : `dist-${arch}`)
}

/** The packages of an architecture, bound to their bytes. */
export function lockFile(arch: Arch): string {
  return join(SOURCE, arch === 'amd64' ? 'packages.lock' : `packages.${arch}.lock`)
}
