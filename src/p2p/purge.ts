import type Corestore from 'corestore'
import Hyperdrive from 'hyperdrive'
import type Hypercore from 'hypercore'

/**
 * Frees everything that a store holds of one drive. Only `clear` and `compact` give space back; the
 * logs themselves stay as empty shells of a few hundred bytes, because deleting a log under a live
 * replication stream is not safe at the pinned hypercore.
 */
export async function purgeDrive(store: Corestore, key: Buffer): Promise<void> {
  const db = store.get({ key })
  await db.ready()
  try {
    const contentKey = db.manifest && Hyperdrive.getContentKey(db.manifest, db.key)
    if (contentKey) {
      const blobs = store.get({ key: contentKey })
      await blobs.ready()
      await emptyLog(blobs)
    }
    await emptyLog(db)
  } finally {
    await db.close()
  }
}

async function emptyLog(core: Hypercore): Promise<void> {
  try {
    await core.clear(0, core.length)
    await core.compact()
  } finally {
    await core.close()
  }
}
