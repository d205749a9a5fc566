import type { Duplex } from 'node:stream'
import test from 'brittle'
import type Hypercore from 'hypercore'
import { MerkleTree, type TreeSession } from 'hypercore/lib/merkle-tree.js'
import { lookUpMerklePaths } from '../../../src/p2p/store/merkle-path-lookup.ts'
import { temporaryStore } from '../temporary-store.ts'

const BLOCKS = 37
/** Fetched one after the other; after each, all paths are compared. */
const FETCHED = [3, 4, 17, 36, 16, 0]

type Replicating = { replicate(isInitiator: boolean): Duplex }

void test('paths that are looked up at once miss what hypercore finds missing', async (t) => {
  const asBefore = MerkleTree.missingNodes
  lookUpMerklePaths()
  const atOnce = MerkleTree.missingNodes
  t.not(atOnce, asBefore, 'hypercore has it under the same name')

  const publisher = await temporaryStore(t)
  const reader = await temporaryStore(t)
  const log = publisher.get({ name: 'log' })
  await log.ready()
  await log.append(Array.from({ length: BLOCKS }, (_, n) => Buffer.from(`block ${n}`)))
  const copy = reader.get({ key: log.key })
  await copy.ready()
  const here = (publisher as unknown as Replicating).replicate(true)
  const there = (reader as unknown as Replicating).replicate(false)
  here.pipe(there).pipe(here)

  for (const block of FETCHED) {
    t.is((await copy.get(block))?.toString(), `block ${block}`)
    const session = stateOf(copy)
    let compared = 0
    for (let length = 1; length <= copy.length; length++) {
      for (let index = 0; index < 2 * BLOCKS + 4; index++) {
        const expected = await asBefore(session, index, length)
        if ((await atOnce(session, index, length)) !== expected) {
          t.fail(`node ${index} of ${length} blocks, with ${block}: not ${expected}`)
        }
        compared++
      }
    }
    t.ok(compared > 0, `${compared} paths compared with block ${block} here`)
  }
})

function stateOf(core: Hypercore): TreeSession {
  return (core.core as unknown as { state: TreeSession }).state
}
