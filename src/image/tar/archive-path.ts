import { badArchive } from './tar-error.ts'
import { MAX_DEPTH } from '../tree/tree-limits.ts'
import { ArchiveDirectory } from './archive-directory.ts'

/** Linux's limit; one more is ELOOP. */
const MAX_SYMLINK_HOPS = 40
const SLASH = 0x2f

/** Where a path leads to in a tree of directories. */
export interface ArchivePlace {
  /** The directories on the way that are there; the root is first. */
  readonly directories: readonly ArchiveDirectory[]
  /** Names of all below the root: of those directories, and then of those that are missing. */
  readonly names: readonly string[]
}

/**
 * Follows a path of directories and symlinks in a tree, never out of it. What a symlink names need not be there, as
 * for an entry below it everything that is missing is made.
 *
 * @param symlinkTarget of an inode; undefined for one that is no symlink
 * @throws ContainerError `BAD_SOURCE` for a way through something else, a loop, and what is too deep
 */
export function followPath(
  root: ArchiveDirectory,
  path: readonly Buffer[],
  symlinkTarget: (inode: number) => Buffer | undefined
): ArchivePlace {
  const pending = path.toReversed()
  const directories = [root]
  const names: string[] = []
  let hops = 0
  for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
    if (isDot(name)) continue
    if (isDotDot(name)) {
      names.pop()
      if (directories.length > names.length + 1) directories.pop()
      continue
    }
    const text = nameKey(name)
    const isKnown = directories.length === names.length + 1
    const child = isKnown ? directories.at(-1)!.entries.get(text) : undefined
    if (child === undefined || child instanceof ArchiveDirectory) {
      if (names.length >= MAX_DEPTH) throw badArchive('its directories nest too deep')
      names.push(text)
      if (child !== undefined) directories.push(child)
      continue
    }
    const target = symlinkTarget(child)
    if (target === undefined || ++hops > MAX_SYMLINK_HOPS) throw noDirectory(path)
    if (target[0] === SLASH) {
      names.length = 0
      directories.length = 1
    }
    pending.push(...splitNames(target).toReversed())
  }
  return { directories, names }
}

/** The names of an archive's path, which is below the root whether or not it starts with a slash. */
export function splitPath(path: Buffer): Buffer[] {
  const names = splitNames(path).filter((name) => !isDot(name))
  if (names.some(isDotDot)) {
    throw badArchive(
      `${path.toString()} leads outside`,
      'an entry whose path has ".." is not extracted; make the archive without it'
    )
  }
  if (names.length > MAX_DEPTH) throw badArchive('its directories nest too deep')
  return names
}

/** A name, one character a byte. */
export function nameKey(name: Buffer): string {
  return name.toString('latin1')
}

function splitNames(path: Buffer): Buffer[] {
  const names: Buffer[] = []
  for (let start = 0; start < path.length;) {
    const slash = path.indexOf(SLASH, start)
    const end = slash === -1 ? path.length : slash
    if (end > start) names.push(path.subarray(start, end))
    start = end + 1
  }
  return names
}

function isDot(name: Buffer): boolean {
  return name.length === 1 && name[0] === 0x2e
}

function isDotDot(name: Buffer): boolean {
  return name.length === 2 && name[0] === 0x2e && name[1] === 0x2e
}

function noDirectory(path: readonly Buffer[]): Error {
  return badArchive(`${path.map(String).join('/')} is not a directory, but something is below it`)
}
