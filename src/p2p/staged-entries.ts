import type Hyperdrive from 'hyperdrive'
import type { BlobId, EntryValue } from 'hyperdrive'
import { throwIfCancelled } from '../image/cancel.ts'
import { decodeIndex } from '../image/index-codec.ts'
import { MANIFEST_PATH } from '../image/manifest.ts'
import type { ColumnTree } from '../image/column-tree.ts'
import { BLOCK_ROOM } from './block-room.ts'
import { changedDriveEntries, driveEntries, type EntryChange } from './drive-entries.ts'
import { EntriesThread } from './entries-thread.ts'

/** The first block of a Hyperbee says what it is. */
const HEADER_BLOCKS = 1
/** Their nodes fit into the cache of the bee. */
const LOOKED_UP_ENTRIES = 512

/**
 * The entries of a version that nobody sees yet. Those of a first version may be in the log already, as
 * nobody knows of a drive without a version; all others come with the manifest's, in one append.
 */
export class StagedEntries implements AsyncDisposable {
  readonly #batch: Hyperdrive

  private constructor(batch: Hyperdrive) {
    this.#batch = batch
  }

  /**
   * Of a drive that has no version.
   *
   * @param packed the version's index
   * @throws ContainerError `BAD_INDEX`, `UNSUPPORTED_VERSION`, `CANCELLED`, and what the store throws
   */
  static async first(
    drive: Hyperdrive,
    packed: Uint8Array,
    thread: EntriesThread,
    signal: AbortSignal
  ): Promise<StagedEntries> {
    const left = await appendFirst(drive, packed, thread, signal)
    return StagedEntries.#putting(drive, left, signal)
  }

  /**
   * Of a drive whose newest version has the tree `before`.
   *
   * @throws ContainerError `CANCELLED`, and what the store throws
   */
  static changes(
    drive: Hyperdrive,
    before: ColumnTree,
    after: ColumnTree,
    signal: AbortSignal
  ): Promise<StagedEntries> {
    return StagedEntries.#putting(drive, changedDriveEntries(before, after), signal)
  }

  static async #putting(
    drive: Hyperdrive,
    changes: Iterable<EntryChange>,
    signal: AbortSignal
  ): Promise<StagedEntries> {
    const staged = new StagedEntries(drive.batch())
    try {
      for (const group of inGroups(changes, LOOKED_UP_ENTRIES)) {
        throwIfCancelled(signal)
        // A batch asks for the nodes on its way one by one; asked for together, they are here by then.
        await lookUpEntries(
          staged.#batch,
          group.map(([name]) => name)
        )
        await staged.#put(group)
      }
      return staged
    } catch (error) {
      await staged[Symbol.asyncDispose]()
      throw error
    }
  }

  async #put(changes: readonly EntryChange[]): Promise<void> {
    for (const [name, value] of changes) {
      await (value === undefined ? this.#batch.del(name) : this.#batch.putEntry(name, value))
    }
  }

  /**
   * Appends them, and the entry of the manifest. Nothing more can be done with them then.
   *
   * @param blob where the manifest is
   */
  async append(blob: BlobId, version: number): Promise<void> {
    await this.#batch.putEntry(MANIFEST_PATH, { blob, metadata: { version } })
    await this.#batch.flush()
  }

  /** Leaves what is not appended. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#batch.close()
  }
}

/**
 * Has the store's nodes on the way to these entries in memory, all at once.
 *
 * @param batch of the drive; the drive itself would take a snapshot for each
 */
export async function lookUpEntries(batch: Hyperdrive, names: readonly string[]): Promise<void> {
  await Promise.all(names.map((name) => batch.entry(name)))
}

export function* inGroups<T>(items: Iterable<T>, size: number): Generator<T[]> {
  let group: T[] = []
  for (const item of items) {
    group.push(item)
    if (group.length < size) continue
    yield group
    group = []
  }
  if (group.length > 0) yield group
}

function* entryValues(tree: ColumnTree): Generator<EntryChange> {
  for (const [name, text] of driveEntries(tree)) yield [name, JSON.parse(text) as EntryValue]
}

/** @returns those that are left for a batch, as others may have the same name */
async function appendFirst(
  drive: Hyperdrive,
  packed: Uint8Array,
  thread: EntriesThread,
  signal: AbortSignal
): Promise<Iterable<EntryChange>> {
  const header = drive.db.batch()
  await header.getRoot(true)
  await header.close()
  const { core } = drive
  // A commit that failed before may have left some, or all.
  if (core.length !== HEADER_BLOCKS) return entryValues(decodeIndex(packed))
  if (core.padding !== BLOCK_ROOM) throw new TypeError(`entries want ${core.padding} bytes of room`)
  // Entries come with their room; left to itself, the log copies each to make it.
  const log = core.session({ encodeBatch: (blocks: Buffer[]) => blocks })
  try {
    // A copy, as the thread keeps it.
    const groups = thread.groups(new Uint8Array(packed), core.length, signal)
    for (;;) {
      const { done, value } = await groups.next()
      if (done === true) return value
      await log.append(value)
    }
  } finally {
    await log.close()
  }
}
