import type Corestore from 'corestore'
import Hyperdrive from 'hyperdrive'
import type Hypercore from 'hypercore'

/** Key of the log with a drive's content; undefined where nothing is known of the drive yet. */
export async function contentKeyOf(store: Corestore, key: Buffer): Promise<Buffer | undefined> {
  const db = store.get({ key })
  await db.ready()
  try {
    return contentKeyIn(db)
  } finally {
    await db.close()
  }
}

function contentKeyIn({ manifest, key }: Hypercore): Buffer | undefined {
  return (manifest && Hyperdrive.getContentKey(manifest, key)) ?? undefined
}

/**
 * Whether a key that was named as a drive's is that of a log with another drive's content. Anybody may name any key: what
 * is freed as a drive would be the content of another one.
 *
 * @param drives keys of the drives that the store has
 */
export async function isContentOfAnother(
  store: Corestore,
  key: Buffer,
  drives: Iterable<Buffer>
): Promise<boolean> {
  for (const drive of drives) {
    if (drive.equals(key)) continue
    if ((await contentKeyOf(store, drive))?.equals(key)) return true
  }
  return false
}

/**
 * Frees everything that a store holds of one drive. Only `clear` and `compact` give space back; the
 * logs themselves stay as empty shells of a few hundred bytes, because deleting a log under a live
 * replication stream is not safe at the pinned hypercore.
 *
 * @param options.keepEntries frees the content alone: without its entries, a writer could not add to it. @default false
 */
export async function purgeDrive(
  store: Corestore,
  key: Buffer,
  { keepEntries = false } = {}
): Promise<void> {
  const db = store.get({ key })
  await db.ready()
  try {
    const contentKey = contentKeyIn(db)
    if (contentKey) {
      const blobs = store.get({ key: contentKey })
      await blobs.ready()
      await emptyLog(blobs)
    }
    if (!keepEntries) await emptyLog(db)
  } finally {
    await db.close()
  }
}

/**
 * Removes the shells that {@link purgeDrive} leaves. Nobody in this process has the drive open; a peer that replicates
 * it has its channel closed first.
 */
export async function deleteDrive(store: Corestore, key: Buffer): Promise<void> {
  for (const each of [await contentKeyOf(store, key), key]) {
    if (each) await deleteLog(store, each)
  }
}

async function deleteLog(store: Corestore, key: Buffer): Promise<void> {
  const log = store.get({ key })
  await log.ready()
  const { core, discoveryKey } = log
  const pointers = core.state.storage.core
  await log.close()
  await core.close()
  store.cores.map.delete(discoveryKey.toString('hex'))
  await store.storage.deleteCore(pointers)
}

async function emptyLog(core: Hypercore): Promise<void> {
  try {
    await core.clear(0, core.length)
    await core.compact()
  } finally {
    await core.close()
  }
}
