import { lstatSync, realpathSync } from 'node:fs'
import { dirname } from 'node:path'
import { ContainerError } from '../core/errors.ts'

/** Hidden from the service by its sandbox. */
const HIDDEN = ['/home', '/root', '/run/user', '/tmp', '/var/tmp']
const WRITABLE_BY_GROUP_OR_OTHERS = 0o022
const READABLE_BY_OTHERS = 0o004
const SEARCHABLE_BY_OTHERS = 0o001

/**
 * Checks that a service may run a program file: its user can read it, and only root can put another in its place.
 *
 * @returns the file's real path
 * @throws ContainerError `IO`, which names what is in the way
 */
export function checkServiceProgram(path: string): string {
  const real = realpathSync(path)
  const hidden = HIDDEN.find((directory) => real.startsWith(`${directory}/`))
  if (hidden !== undefined) throw unusable(real, `the service sees nothing of ${hidden}`)
  for (let at = real; ; at = dirname(at)) {
    const { uid, gid, mode } = lstatSync(at)
    if (uid !== 0) throw unusable(at, 'it does not belong to root')
    const closed = gid === 0 ? WRITABLE_BY_GROUP_OR_OTHERS & 0o002 : WRITABLE_BY_GROUP_OR_OTHERS
    if ((mode & closed) !== 0) throw unusable(at, 'others than root may change it')
    const needed = at === real ? READABLE_BY_OTHERS : SEARCHABLE_BY_OTHERS
    if ((mode & needed) === 0) throw unusable(at, 'users other than root cannot read it')
    if (at === '/') return real
  }
}

function unusable(path: string, reason: string): ContainerError {
  return new ContainerError('IO', `the service cannot run ${path}: ${reason}`, {
    hint: 'install Node.js and dat-container for all users, for instance below /usr/local (npm install -g --prefix /usr/local dat-container)'
  })
}
