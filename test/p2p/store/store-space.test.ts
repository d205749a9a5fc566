import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'brittle'
import { PeerNode } from '../../../src/p2p/peers/peer-node.ts'
import { sizesOf } from '../../../src/p2p/store/block-sizes.ts'

const MIB = 1024 * 1024
const BLOCK_BYTES = 40_000
const BLOCKS = 1_200

test('the space of cleared blocks comes back, also where they lie among others', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'dat-space-'))
  await using node = await PeerNode.open({
    storage: join(directory, 'store'),
    bootstrap: ['127.0.0.1:9']
  })
  t.teardown(() => rmSync(directory, { recursive: true }))
  const [gone, kept] = [node.store.get({ name: 'gone' }), node.store.get({ name: 'kept' })]
  await Promise.all([gone.ready(), kept.ready()])
  const content: Buffer[] = []
  for (let n = 0; n < BLOCKS; n += 20) {
    const blocks = Array.from({ length: 20 }, () => randomBytes(BLOCK_BYTES))
    content.push(...blocks)
    await gone.append(blocks.map((block) => Buffer.from(block).fill(n % 256, 0, 100)))
    await kept.append(blocks)
  }
  const sizes = await sizesOf(gone, [0, 1, BLOCKS - 1, BLOCKS + 5])
  t.alike([...sizes.values()], [BLOCK_BYTES, BLOCK_BYTES, BLOCK_BYTES], 'sizes are those stored')

  const bytes = BLOCKS * BLOCK_BYTES
  await gone.clear(0, gone.length)
  // The control: what hypercore does for it leaves most of it.
  const before = node.space.measure()
  await gone.compact()
  const byHypercore = before - node.space.measure()
  t.ok(byHypercore < 0.8 * bytes, `hypercore gives back ${Math.round(byHypercore / MIB)} MiB`)
  await node.space.reclaim(bytes - byHypercore)
  const freed = before - node.space.measure()
  t.ok(freed > 0.9 * bytes, `${Math.round(freed / MIB)} of ${Math.round(bytes / MIB)} MiB are free`)
  for (let n = 0; n < BLOCKS; n += 37) {
    const block = await kept.get(n, { wait: false })
    if (!block?.equals(content[n] as Buffer)) t.fail(`block ${n} is not what it was`)
  }
  t.pass('the other log is as it was')
})

test('room is told before and beyond the limit', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'dat-space-'))
  await using node = await PeerNode.open({
    storage: join(directory, 'store'),
    bootstrap: ['127.0.0.1:9'],
    maxDiskBytes: 256 * MIB
  })
  t.teardown(() => rmSync(directory, { recursive: true }))
  const { space } = node
  let changes = 0
  using _ = { [Symbol.dispose]: space.onChange(() => changes++) }
  const log = node.store.get({ name: 'log' })
  await log.ready()
  t.alike([space.shortBytes, space.mayFill, space.mayStore], [0, true, true])
  const grow = async (bytes: number): Promise<void> => {
    for (let left = bytes; left > 0; left -= 10 * BLOCK_BYTES) {
      await log.append(Array.from({ length: 10 }, () => randomBytes(BLOCK_BYTES)))
    }
    space.measure()
  }
  while (space.shortBytes === 0) await grow(2 * MIB)
  t.alike([space.mayFill, space.mayStore], [true, true], 'first, something is to be evicted')
  while (space.mayFill) await grow(2 * MIB)
  t.is(space.mayStore, true, 'then nothing is fetched ahead')
  t.is(space.full, undefined, 'while something may be evicted')
  space.noteExhausted(true)
  t.is(space.full?.code, 'DISK_FULL')
  while (space.mayStore) await grow(2 * MIB)
  t.ok(space.measure() < (256 + 64) * MIB, 'at last nothing is stored')
  t.ok(changes > 0, 'who fetches is told')
  await log.clear(0, log.length)
  await space.reclaim(200 * MIB)
  t.alike([space.shortBytes, space.mayFill, space.mayStore, space.full], [0, true, true, undefined])
})
