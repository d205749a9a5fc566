import { chmodSync, lstatSync, mkdirSync, readlinkSync, realpathSync, type Stats } from 'node:fs'
import { isAbsolute, join, resolve } from 'node:path'
import { ContainerError, isContainerError, systemErrorCode } from './errors.ts'

const OTHERS = 0o077
const WRITABLE_BY_GROUP = 0o020
const WRITABLE_BY_ALL = 0o002
const STICKY = 0o1000
const PERMISSIONS = 0o7777
/** As many as Linux follows. */
const MAX_SYMLINKS = 40

export interface PrivateDirectoryOptions {
  /**
   * Whether a directory of this user's that others may read, but not write to, is closed to them.
   *
   * @default false: it is refused
   */
  readonly tighten?: (path: string) => boolean
  /** What to do about one that is refused. */
  readonly hint?: string
}

/**
 * Makes a directory (0700) where it is absent, with those above it, and checks that it is this user's
 * alone: its owner is this user, its mode is 0700 or narrower, and nobody but this user and root can
 * put another in its place. Nothing is made below what others control.
 *
 * @returns its real path
 * @throws ContainerError `IO`, which names the directory at fault
 */
export function privateDirectory(path: string, options: PrivateDirectoryOptions = {}): string {
  try {
    return checkedDirectory(resolve(path), options)
  } catch (error) {
    const { hint } = options
    if (hint === undefined || !isContainerError(error)) throw error
    throw new ContainerError('IO', error.message, { hint })
  }
}

function checkedDirectory(path: string, options: PrivateDirectoryOptions): string {
  if (process.platform === 'win32') {
    // Who gets in stands in access control lists there, which a directory has from the one above: its user's profile.
    mkdirSync(path, { recursive: true })
    return realpathSync(path)
  }
  const real = makeTrustedDirectory(path)
  const status = lstatSync(real)
  if (status.uid !== ownId()) throw refused(real, `it belongs to ${userName(status.uid)}`)
  if ((status.mode & OTHERS) === 0) return real
  const isWritable = (status.mode & (WRITABLE_BY_GROUP | WRITABLE_BY_ALL)) !== 0
  if (!isWritable && options.tighten?.(real) === true) chmodSync(real, 0o700)
  else throw refused(real, `its mode is ${octal(status)}, which gives others access`)
  return real
}

/** Whether there is a directory that {@link privateDirectory} would accept as it is. */
export function isPrivateDirectory(path: string): boolean {
  const status = lstatSync(path, { throwIfNoEntry: false })
  if (status === undefined || !isAbsolute(path)) return false
  try {
    privateDirectory(path)
    return true
  } catch {
    return false
  }
}

/**
 * Goes down a path from the root, a component at a time, so that nothing is followed or made before
 * what is above it has been checked.
 */
function makeTrustedDirectory(path: string): string {
  const left = path.split('/').filter((name) => name !== '')
  const above: Stats[] = []
  let at = '/'
  let symlinks = 0
  above.push(checkTrusted(at, lstatSync(at), undefined))
  for (let name = left.shift(); name !== undefined; name = left.shift()) {
    const next = join(at, name)
    const status = checkTrusted(next, madeOrThere(next), above.at(-1))
    if (!status.isSymbolicLink()) {
      at = next
      above.push(status)
      continue
    }
    if (++symlinks > MAX_SYMLINKS) throw refused(path, 'it has too many symbolic links')
    left.unshift(
      ...resolve(at, readlinkSync(next))
        .split('/')
        .filter((part) => part !== '')
    )
    at = '/'
    above.length = 1
  }
  return at
}

/** What is at `path`; a directory is made there when nothing is. */
function madeOrThere(path: string): Stats {
  const status = lstatSync(path, { throwIfNoEntry: false })
  if (status !== undefined) return status
  try {
    mkdirSync(path, { mode: 0o700 })
  } catch (error) {
    // Somebody was faster; who that was is checked.
    if (systemErrorCode(error) !== 'EEXIST') throw error
  }
  return lstatSync(path)
}

/** @param parent of the directory above, which has been checked */
function checkTrusted(path: string, status: Stats, parent: Stats | undefined): Stats {
  const { uid, mode } = status
  if (uid !== ownId() && uid !== 0) throw refused(path, `it belongs to ${userName(uid)}`)
  if (status.isSymbolicLink()) {
    // In a directory like /tmp even a link of our own may be one that somebody else named.
    if (parent !== undefined && (parent.mode & STICKY) !== 0 && isOpen(parent)) {
      throw refused(path, 'it is a symbolic link in a directory that all may write to')
    }
    return status
  }
  if (!status.isDirectory()) throw refused(path, 'it is no directory')
  if (isOpen(status) && (mode & STICKY) === 0) {
    throw refused(path, `its mode is ${octal(status)}, others may replace what is in it`)
  }
  return status
}

/** Whether others can make entries in it. A group of one, as Debian gives each user, is no other. */
function isOpen({ gid, mode }: Stats): boolean {
  if ((mode & WRITABLE_BY_ALL) !== 0) return true
  const isOwnGroup = gid === 0 || (gid === process.getegid?.() && gid === ownId())
  return (mode & WRITABLE_BY_GROUP) !== 0 && !isOwnGroup
}

function ownId(): number {
  return process.geteuid?.() ?? 0
}

function octal({ mode }: Stats): string {
  return (mode & PERMISSIONS).toString(8).padStart(4, '0')
}

function userName(uid: number): string {
  return uid === 0 ? 'root' : `user ${uid}`
}

function refused(path: string, reason: string): ContainerError {
  return new ContainerError('IO', `${path} is not safe to use: ${reason}`, {
    hint: 'make it yours alone (chown, chmod 700), or choose another directory'
  })
}
