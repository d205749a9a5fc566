import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Corestore from 'corestore'
import HypercoreStorage from 'hypercore-storage'

/**
 * A store that goes with the test.
 *
 * @param primaryKey what its key pairs are derived from. @default a new one
 */
export async function temporaryStore(
  t: { teardown: (close: () => Promise<void>) => void },
  primaryKey?: Buffer
): Promise<Corestore> {
  const directory = await mkdtemp(join(tmpdir(), 'dat-store-'))
  const store = new Corestore(
    new HypercoreStorage(directory),
    primaryKey === undefined ? {} : { primaryKey, unsafe: true }
  )
  t.teardown(async () => {
    await store.close()
    await rm(directory, { recursive: true })
  })
  return store
}
