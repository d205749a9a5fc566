import { isAscii } from 'node:buffer'
import type { EntryValue } from 'hyperdrive'
import { DIRECTORY, FILE, SYMLINK, type ColumnTree } from '../../image/tree/column-tree.ts'
import { areSame, compareNames } from '../../image/tree/same-inode.ts'
import type { Tree } from '../../image/tree/tree.ts'
import { entryText, entryValue } from './entry-text.ts'

/** Stands where a name is not UTF-8, and for a backslash. */
const REPLACEMENT = '\uFFFD'
const SLASH = Buffer.from('/')
const BACKSLASH = '\\'.charCodeAt(0)

/** Blocks of a log of entries that has only a first manifest's: what says that it is a Hyperbee, and that. */
export const FIRST_BLOCKS = 2

/** Where an image's root directory stands in its drive. */
export const ROOTFS_FOLDER = '/rootfs'

/**
 * The drive entries of an image's files and symlinks: name → JSON of the value, so that any Hyperdrive tool can
 * list the image. Readers of this project never look at them: the index is the truth. There is no
 * blob id, because a file's blocks need not stand in a row (equal chunks are stored once); the
 * metadata holds them as `[position in chunks, first block, offset in it, count]`.
 *
 * Names that are not UTF-8 are shown with replacement characters, and so are backslashes, which a
 * Hyperdrive takes for slashes; where two of them become equal one entry stands for both. All others
 * come in order of their bytes.
 */
export function* driveEntries(tree: ColumnTree): Generator<[name: string, text: string]> {
  const { type, entryInode } = tree.columns
  const pending: WalkedDirectory[] = [walked(tree, 0, ROOTFS_FOLDER)]
  for (let at = pending.at(-1); at; at = pending.at(-1)) {
    const entry = at.entries[at.next++]
    if (entry === undefined) {
      pending.pop()
      continue
    }
    const inode = entryInode[entry]!
    const path = `${at.path}/${at.arePlain ? plainName(tree, entry) : shownName(tree.entryName(entry))}`
    if (type[inode] === DIRECTORY) pending.push(walked(tree, inode, path))
    else if (hasEntry(tree, inode)) yield [path, entryText(tree, inode)]
  }
}

/** Whether an entry's name is not the file's, so that another may have the same. */
export function isBlurred(name: string): boolean {
  return name.includes(REPLACEMENT)
}

interface WalkedDirectory {
  readonly path: string
  readonly entries: readonly number[]
  /** Whether the names of all of them are surely shown as they are. */
  readonly arePlain: boolean
  /** Place in `entries`. */
  next: number
}

/** A directory's entries in the order of the paths below them: a directory's name counts with its slash. */
function walked(tree: ColumnTree, directory: number, path: string): WalkedDirectory {
  const { type, entryInode } = tree.columns
  const [first, end] = entryRange(tree, directory)
  const arePlain = arePlainNames(tree, directory)
  const entries: number[] = []
  let areInOrder = true
  for (let entry = first; entry < end; entry++) {
    entries.push(entry)
    areInOrder &&= type[entryInode[entry]!] !== DIRECTORY
  }
  if (areInOrder) return { path, entries, arePlain, next: 0 }
  const keys = new Map(entries.map((entry) => [entry, withSlash(tree, entry)]))
  entries.sort((a, b) => Buffer.compare(keys.get(a)!, keys.get(b)!))
  return { path, entries, arePlain, next: 0 }
}

function withSlash(tree: Tree, entry: number): Uint8Array {
  const name = tree.entryName(entry)
  if (tree.type(tree.entryInode(entry)) !== 'directory') return name
  return Buffer.concat([name, SLASH])
}

function plainName({ columns }: ColumnTree, entry: number): string {
  const { names, nameStart } = columns
  return names.toString('latin1', nameStart[entry], nameStart[entry + 1])
}

function shownName(name: Uint8Array): string {
  return Buffer.from(name).toString().replaceAll('\\', REPLACEMENT)
}

/** An entry to write, or one that is gone: its value is undefined. */
export type EntryChange = readonly [name: string, value: EntryValue | undefined]

/** Directories of either version that are compared; undefined where a version has none. */
interface DirectoryPair {
  readonly before: number | undefined
  readonly after: number | undefined
  readonly path: string
}

/**
 * What {@link driveEntries} gives for one tree and not, or not so, for another: first the names that are
 * gone. Both are walked side by side, so that what is equal costs no more than a comparison of numbers.
 */
export function* changedDriveEntries(
  before: ColumnTree,
  after: ColumnTree
): Generator<EntryChange> {
  const changed: [path: string, inode: number][] = []
  // Names that are not shown as they are may share an entry: where one goes, those that stay are written again.
  const blurred: [path: string, inode: number][] = []
  const goneBlurred = new Set<string>()
  const pending: DirectoryPair[] = [{ before: 0, after: 0, path: ROOTFS_FOLDER }]
  for (let at = pending.pop(); at; at = pending.pop()) {
    const arePlain = !isBlurred(at.path) && arePlainNames(after, at.after)
    for (const [old, now] of paired(before, at.before, after, at.after)) {
      const was = old === undefined ? undefined : before.entryInode(old)
      const is = now === undefined ? undefined : after.entryInode(now)
      const wasDirectory = was !== undefined && before.type(was) === 'directory'
      const isDirectory = is !== undefined && after.type(is) === 'directory'
      const isEqual = was !== undefined && is !== undefined && areSame(before, was, after, is)
      // Most are equal, and making their paths is most of the work.
      if (isEqual && !isDirectory && arePlain) continue
      const name = now === undefined ? before.entryName(old!) : after.entryName(now)
      const path = `${at.path}/${shownName(name)}`
      if (wasDirectory || isDirectory) {
        const pair = { before: wasDirectory ? was : undefined, after: isDirectory ? is : undefined }
        pending.push({ ...pair, path })
      }
      const mayBeAnothers = isBlurred(path)
      if (is !== undefined && hasEntry(after, is)) {
        if (mayBeAnothers) blurred.push([path, is])
        if (!isEqual) changed.push([path, is])
      } else if (was !== undefined && hasEntry(before, was)) {
        if (mayBeAnothers) goneBlurred.add(path)
        yield [path, undefined]
      }
    }
  }
  for (const [path, inode] of changed) yield [path, entryValue(after, inode)]
  for (const [path, inode] of blurred) {
    if (goneBlurred.has(path)) yield [path, entryValue(after, inode)]
  }
}

/** Whether all names of a directory are surely shown as they are. */
function arePlainNames(tree: ColumnTree, directory: number | undefined): boolean {
  const [first, end] = entryRange(tree, directory)
  const { names, nameStart } = tree.columns
  // Those of one directory stand one behind the other.
  const all = names.subarray(nameStart[first], nameStart[end])
  return isAscii(all) && !all.includes(BACKSLASH)
}

/** Entries of two directories by name, in order of names' bytes. */
function* paired(
  before: ColumnTree,
  directoryBefore: number | undefined,
  after: ColumnTree,
  directoryAfter: number | undefined
): Generator<[entryBefore: number | undefined, entryAfter: number | undefined]> {
  const [firstB, endB] = entryRange(before, directoryBefore)
  const [firstA, endA] = entryRange(after, directoryAfter)
  let b = firstB
  let a = firstA
  while (b < endB || a < endA) {
    const order = b === endB ? 1 : a === endA ? -1 : compareNames(before, b, after, a)
    yield [order <= 0 ? b++ : undefined, order >= 0 ? a++ : undefined]
  }
}

function entryRange(tree: Tree, directory: number | undefined): [first: number, end: number] {
  if (directory === undefined) return [0, 0]
  const first = tree.firstEntry(directory)
  return [first, first + tree.directoryEntryCount(directory)]
}

function hasEntry({ columns }: ColumnTree, inode: number): boolean {
  const type = columns.type[inode]
  return type === FILE || type === SYMLINK
}
