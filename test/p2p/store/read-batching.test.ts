import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'brittle'
import Corestore from 'corestore'
import type { CoreStorage } from 'hypercore'
import HypercoreStorage from 'hypercore-storage'
import { batchReads } from '../../../src/p2p/store/read-batching.ts'

const BLOCKS = 300

/** Counts trips to the store from now on. */
function countTrips(storage: CoreStorage): { trips: number } {
  const counted = { trips: 0 }
  const { db } = storage
  // The store uses batches of reads again.
  const watched = new WeakSet<object>()
  const usual = db.read.bind(db)
  Object.defineProperty(db, 'read', {
    configurable: true,
    value: (options: { autoDestroy: boolean }) => {
      const reads = usual(options)
      if (watched.has(reads)) return reads
      watched.add(reads)
      const send = reads.tryFlush.bind(reads)
      reads.tryFlush = () => {
        counted.trips++
        send()
      }
      return reads
    }
  })
  return counted
}

void test('blocks that are asked for in one turn come by few trips to the store', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'dat-joined-'))
  const store = new Corestore(new HypercoreStorage(directory))
  try {
    const log = store.get({ name: 'log', encryptionKey: Buffer.alloc(32, 7) })
    await log.ready()
    await log.append(Array.from({ length: BLOCKS }, (_, n) => Buffer.from(`block ${n}`)))
    batchReads(log)
    batchReads(log)
    const counted = countTrips(log.core.state.storage)
    const read = async (n: number): Promise<string> => String(await log.get(n, { wait: false }))
    const numbers = Array.from({ length: BLOCKS }, (_, n) => n)
    const all = await Promise.all(numbers.map(read))
    t.alike(
      all,
      numbers.map((n) => `block ${n}`)
    )
    t.ok(counted.trips <= 6, `${counted.trips} trips`)

    counted.trips = 0
    t.is(await read(5), 'block 5', 'one alone')
    t.is(counted.trips, 1)
    // Walks of several steps, as those of a tree are: their steps keep pace.
    counted.trips = 0
    const walk = async (from: number): Promise<string[]> => {
      const found: string[] = []
      for (let n = from; n < from + 10; n++) found.push(await read(n))
      return found
    }
    const walks = await Promise.all([0, 50, 100, 200].map(walk))
    t.is(walks[3]?.at(-1), 'block 209')
    t.ok(counted.trips <= 20, `${counted.trips} trips for 40 blocks`)

    const [late] = await Promise.all([read(BLOCKS - 1), log.append([Buffer.from('one more')])])
    t.is(late, `block ${BLOCKS - 1}`, 'beside an append')
    t.is(await read(BLOCKS), 'one more')
    t.is(await log.get(BLOCKS + 1, { wait: false }), null, 'what is not there')
  } finally {
    await store.close()
    rmSync(directory, { recursive: true, force: true })
  }
})
