/**
 * Renews package-lock.json after a change of package.json, in the shape that `npm ci` of all releases takes.
 *
 *   npm run lock [-- ARGUMENT OF `npm install` …]
 *
 * npm names packages for other platforms in the entries that have them as optional dependencies. Where the
 * registry that it asked lacks one of them, it has no entry of its own, and `npm ci` of npm 11 ends with
 * EUSAGE. Such names are left out: nobody could install them with this lock anyway.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { execa } from 'execa'
import { writeFileAtomically } from '../src/core/atomic-file.ts'
import { withoutAbsent, type NodeLock } from './node-lock.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const PATH = join(ROOT, 'package-lock.json')

const npm = execa({ cwd: ROOT, stdio: 'inherit' })
// Addresses of the registry stay out: everybody has their own.
await npm('npm', [
  ...['install', '--package-lock-only', '--ignore-scripts', '--no-audit', '--no-fund'],
  ...['--omit-lockfile-registry-resolved', ...process.argv.slice(2)]
])
const lock = JSON.parse(await readFile(PATH, 'utf8')) as NodeLock
const { lock: renewed, absent } = withoutAbsent(lock)
for (const name of absent) console.error(`left out, as the registry has it not: ${name}`)
await writeFileAtomically(PATH, `${JSON.stringify(renewed, null, 2)}\n`, 0o644)
await npm('npm', ['ci', '--dry-run', '--ignore-scripts', '--no-audit', '--no-fund'])
