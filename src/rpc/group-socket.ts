import { lstatSync, realpathSync, type Stats } from 'node:fs'
import { basename, dirname, isAbsolute, join } from 'node:path'
import { ContainerError, systemErrorCode } from '../core/errors.ts'

const WRITABLE_BY_GROUP_OR_OTHERS = 0o022
/** The group may look at what is in the directory; nobody else gets into it. */
const MORE_THAN_READ_BY_GROUP = 0o027
const OTHERS = 0o007

/**
 * Checks a unix socket that a daemon of another user serves for the members of a group. Links with secrets are sent
 * to it. Who listens there must therefore be somebody whom root has chosen:
 *
 * - everything above its directory belongs to root, and nobody else may write there: so root has made the directory
 *   and given it to its owner;
 * - the directory is closed to others, and not writable by the group;
 * - the socket belongs to the owner of the directory, and is closed to others.
 *
 * @param path absolute
 * @returns its path without symbolic links; undefined when there is no socket
 * @throws ContainerError `DAEMON_UNREACHABLE` for somebody who is not in the group; `IO`, which names what is not safe;
 *   `USAGE` for a path that is not absolute
 */
export function checkedGroupSocket(path: string): string | undefined {
  if (!isAbsolute(path) || process.platform === 'win32') {
    throw new ContainerError('USAGE', `the socket ${path} is no absolute path of a unix socket`)
  }
  try {
    const directory = checkedSocketDirectory(dirname(path))
    const { uid } = lstatSync(directory)
    const socket = join(directory, basename(path))
    const status = lstatSync(socket)
    if (!status.isSocket()) throw refused(socket, 'it is no socket')
    if (status.uid !== uid) throw refused(socket, `it does not belong to the owner of ${directory}`)
    if ((status.mode & OTHERS) !== 0) throw refused(socket, 'users outside of its group may use it')
    return socket
  } catch (cause) {
    const code = systemErrorCode(cause)
    if (code === 'ENOENT') return undefined
    if (code === 'EACCES') throw notMember(path, cause)
    throw cause
  }
}

/**
 * Checks the directory of a socket that is for a group, on both ends: see {@link checkedGroupSocket}.
 *
 * @returns its real path
 * @throws ContainerError `IO`, which names what is not safe; the system's error where it cannot be looked at
 */
export function checkedSocketDirectory(path: string): string {
  const real = realpathSync(path)
  for (let above = dirname(real); ; above = dirname(above)) {
    const status = lstatSync(above)
    if (status.uid !== 0) throw refused(above, 'it does not belong to root')
    if (isWritableByOthers(status)) throw refused(above, 'others than root may write to it')
    if (above === '/') break
  }
  const { mode } = lstatSync(real)
  if ((mode & MORE_THAN_READ_BY_GROUP) !== 0) {
    throw refused(real, 'more than reading by its group is permitted (chmod 750)')
  }
  return real
}

/**
 * Refuses what concerns the daemon of a home, where commands use the daemon of another user.
 *
 * @param path of that daemon's socket; undefined for the home's own daemon
 * @throws ContainerError `USAGE`
 */
export function refuseGroupSocket(path: string | undefined, verb: string): void {
  if (path === undefined) return
  throw new ContainerError(
    'USAGE',
    `${verb} is for a home's own daemon, and the configuration names ${path}`,
    {
      hint: `leave \`socket\` out, or set DAT_CONTAINER_SOCKET to nothing for this command`
    }
  )
}

/** The error of somebody whom the socket's permissions keep out. */
export function notMember(path: string, cause: unknown): ContainerError {
  return new ContainerError('DAEMON_UNREACHABLE', `this user may not use the daemon at ${path}`, {
    hint: 'ask root to add you to its group (for a daemon of `daemon install`: usermod -aG dat-container USER), then log in again; or leave `socket` out to use a daemon of your own',
    cause
  })
}

function isWritableByOthers({ gid, mode }: Stats): boolean {
  const closed = gid === 0 ? WRITABLE_BY_GROUP_OR_OTHERS & 0o002 : WRITABLE_BY_GROUP_OR_OTHERS
  return (mode & closed) !== 0
}

function refused(path: string, reason: string): ContainerError {
  return new ContainerError('IO', `${path} is not safe to use for the daemon's socket: ${reason}`, {
    hint: 'use the socket of `dat-container daemon install`, or a directory that root has made for the daemon’s user, closed to others'
  })
}
