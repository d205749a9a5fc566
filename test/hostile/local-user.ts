import { spawnSync } from 'node:child_process'
import { chmodSync, statSync } from 'node:fs'
import { dirname } from 'node:path'

/** A user of this machine with no rights. */
const NOBODY = 65_534
const OTHERS_SEARCH = 0o001

/** Runs a program as that user; what it printed. */
export function runAsUser(...argv: readonly string[]): string {
  const ids = [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups']
  // setpriv(1) itself still has capabilities when it looks for a program; this shell has none.
  const shell = ['sh', '-c', 'exec "$0" "$@"']
  return spawnSync('setpriv', [...ids, ...shell, ...argv], { cwd: '/' }).stdout.toString()
}

/** Lets users of this machine get to a directory of a test. */
export function openToUsers(directory: string): void {
  for (let path = directory; path !== '/'; path = dirname(path)) {
    const { mode } = statSync(path)
    if ((mode & OTHERS_SEARCH) === 0) chmodSync(path, (mode & 0o7777) | OTHERS_SEARCH)
  }
}
