import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'brittle'
import { WanNetwork } from '../../bench/wan/network.ts'
import { evenWire } from '../../bench/wan/star.ts'
import { leftAfter, snapshot } from '../boot/leftovers.ts'
import type { Shared } from '../e2e/results.ts'
import { LONG } from '../e2e/sandbox.ts'

/** Of what does not compress: at one Mbit/s all of it takes longer than one block may be silent. */
const FILES = 32
const FILE_BYTES = 60_000

void test('a pull over a slow link fetches every block once', LONG, async (t) => {
  const before = snapshot()
  const source = mkdtempSync(join(tmpdir(), 'dat-slow-'))
  t.teardown(() => rmSync(source, { recursive: true }))
  mkdirSync(join(source, 'etc'))
  for (let n = 0; n < FILES; n++)
    writeFileSync(join(source, 'etc', `${n}`), randomBytes(FILE_BYTES))
  {
    await using network = await WanNetwork.open(evenWire(1e9, 0))
    const { link, storedBytes } = await network.publisher.json<Shared>('share', source)
    await network.reshape(evenWire(1e6, 100))
    const reader = network.newReader('reader')
    await reader.ok('daemon', 'start')
    const already = network.reader.deviceBytes().received
    await reader.ok('pull', link)
    const times = (network.reader.deviceBytes().received - already) / storedBytes
    t.ok(times < 1.2, `what came is ${times.toFixed(2)} times the image`)
    await network.endReader(reader)
  }
  t.alike(await leftAfter(before), [], 'nothing is left')
})
