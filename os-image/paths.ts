import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The project's folder, from `build/os-image`. */
export const ROOT = fileURLToPath(new URL('../..', import.meta.url))
export const SOURCE = join(ROOT, 'os-image')
export const CACHE = join(ROOT, '.cache/os-image')
export const OUTPUT = join(SOURCE, 'dist')
