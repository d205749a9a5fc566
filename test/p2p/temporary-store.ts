import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Corestore from 'corestore'
import HypercoreStorage from 'hypercore-storage'

/** A store that goes with the test. */
export async function temporaryStore(t: {
  teardown: (close: () => Promise<void>) => void
}): Promise<Corestore> {
  const directory = await mkdtemp(join(tmpdir(), 'dat-store-'))
  const store = new Corestore(new HypercoreStorage(directory))
  t.teardown(async () => {
    await store.close()
    await rm(directory, { recursive: true })
  })
  return store
}
