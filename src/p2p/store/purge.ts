import type Corestore from 'corestore'
import Hyperdrive from 'hyperdrive'
import type Hypercore from 'hypercore'

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
    const contentKey = db.manifest && Hyperdrive.getContentKey(db.manifest, db.key)
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
  const db = store.get({ key })
  await db.ready()
  const contentKey = db.manifest && Hyperdrive.getContentKey(db.manifest, db.key)
  await db.close()
  for (const each of [contentKey, key]) {
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
