import { isDeepStrictEqual } from 'node:util'
import type Hyperdrive from 'hyperdrive'
import type { EntryValue } from 'hyperdrive'
import { throwIfCancelled } from '../../core/cancel.ts'
import type { ColumnTree } from '../../image/tree/column-tree.ts'
import { paddedSession } from '../block-padding.ts'
import {
  changedDriveEntries,
  driveEntries,
  FIRST_BLOCKS,
  isBlurred,
  ROOTFS_FOLDER,
  type EntryChange
} from './drive-entries.ts'
import type { EntriesThread } from './entries-thread.ts'

/** Entries of one append. Their nodes fit into the cache of the bee. */
const APPENDED_ENTRIES = 512

/**
 * Brings what a drive lists to the files of its newest version. Readers of this project need none of it; other
 * tools for Hyperdrives do. One that is cut short leaves a drive that lists some of them.
 *
 * @throws ContainerError `CANCELLED`, and what the store throws
 */
export type FileListing = (drive: Hyperdrive, signal: AbortSignal) => Promise<void>

/** Lists the files of a first version. @param thread has checked its index */
export function listFirst(thread: EntriesThread): FileListing {
  return async (drive, signal) =>
    appendEntries(drive, await appendGroups(drive, thread, signal), signal)
}

/** Where the drive lists what `before` has. */
export function listChanges(before: ColumnTree, after: ColumnTree): FileListing {
  return (drive, signal) => appendEntries(drive, changedDriveEntries(before, after), signal)
}

/** Whatever the drive lists. Reads all of its entries. */
export function listAnew(tree: ColumnTree): FileListing {
  return (drive, signal) => appendEntries(drive, differences(drive, tree), signal)
}

/** Side by side, as both come in order of their names' bytes; but for names that are not shown as they are. */
async function* differences(drive: Hyperdrive, tree: ColumnTree): AsyncGenerator<EntryChange> {
  const blurred = new Map<string, string>()
  const wanted = driveEntries(tree)
  const nextPlain = (): readonly [string, string] | undefined => {
    for (let { done, value } = wanted.next(); !done; { done, value } = wanted.next()) {
      const [name, text] = value as [string, string]
      if (!isBlurred(name)) return [name, text]
      blurred.set(name, text)
    }
    return undefined
  }
  const listedBlurred = new Map<string, EntryValue>()
  let next = nextPlain()
  for await (const { key, value } of drive.list(ROOTFS_FOLDER)) {
    if (isBlurred(key)) {
      listedBlurred.set(key, value)
      continue
    }
    for (; next && isBefore(next[0], key); next = nextPlain()) yield put(next)
    if (next?.[0] !== key) {
      yield [key, undefined]
      continue
    }
    if (!isListed(next[1], value)) yield put(next)
    next = nextPlain()
  }
  for (; next; next = nextPlain()) yield put(next)
  for (const name of listedBlurred.keys()) if (!blurred.has(name)) yield [name, undefined]
  for (const entry of blurred) {
    if (!isListed(entry[1], listedBlurred.get(entry[0]))) yield put(entry)
  }
}

const put = ([name, text]: readonly [string, string]): EntryChange => [
  name,
  JSON.parse(text) as EntryValue
]
const isListed = (text: string, value: EntryValue | undefined): boolean =>
  isDeepStrictEqual(JSON.parse(text), value)
const isBefore = (a: string, b: string): boolean =>
  Buffer.compare(Buffer.from(a), Buffer.from(b)) < 0

/** @returns entries that are left, as others may have the same name */
async function appendGroups(
  { core }: Hyperdrive,
  thread: EntriesThread,
  signal: AbortSignal
): Promise<readonly EntryChange[]> {
  if (core.length !== FIRST_BLOCKS) throw new TypeError('this drive has other entries already')
  const log = paddedSession(core)
  try {
    const groups = thread.groups(signal)
    for (;;) {
      const { done, value } = await groups.next()
      if (done === true) return value
      await log.append(value)
    }
  } finally {
    await log.close()
  }
}

async function appendEntries(
  drive: Hyperdrive,
  changes: Iterable<EntryChange> | AsyncIterable<EntryChange>,
  signal: AbortSignal
): Promise<void> {
  for await (const group of inGroups(changes, APPENDED_ENTRIES)) {
    throwIfCancelled(signal)
    const batch = drive.batch()
    try {
      // A batch asks for the nodes on its way one by one; asked for together, they are here by then.
      await Promise.all(group.map(([name]) => batch.entry(name)))
      for (const [name, value] of group) {
        await (value === undefined ? batch.del(name) : batch.putEntry(name, value))
      }
      await batch.flush()
    } finally {
      await batch.close()
    }
  }
}

async function* inGroups<T>(
  items: Iterable<T> | AsyncIterable<T>,
  size: number
): AsyncGenerator<T[]> {
  let group: T[] = []
  for await (const item of items) {
    group.push(item)
    if (group.length < size) continue
    yield group
    group = []
  }
  if (group.length > 0) yield group
}
