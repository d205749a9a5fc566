import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'brittle'
import { WanNetwork } from '../../bench/wan/network.ts'
import { evenWire } from '../../bench/wan/star.ts'
import type { Shared } from '../e2e/results.ts'
import { LONG } from '../e2e/sandbox.ts'

const NAMES = ['a', 'b', 'c', 'd']
const FILES = 8
const FILE_BYTES = 500_000
/** What the publisher sends without the crowd is about one image a reader. */
const MOST_IMAGES = 2.5

test(
  'readers that pull at once take little more than one image from a publisher with a slow link',
  LONG,
  async (t) => {
    const source = mkdtempSync(join(tmpdir(), 'dat-crowd-'))
    mkdirSync(join(source, 'etc'))
    for (let n = 0; n < FILES; n++) {
      writeFileSync(join(source, 'etc', `${n}`), randomBytes(FILE_BYTES))
    }
    {
      await using network = await WanNetwork.open(evenWire(1e9, 0), NAMES)
      const { link, storedBytes } = await network.publisher.json<Shared>('share', source)
      const readers = NAMES.map((name) => network.newMachine(name))
      for (const reader of readers) await reader.ok('daemon', 'start')
      await network.reshape(evenWire(50e6, 40))
      await network.reshapeEach({ publisher: evenWire(5e6, 40) })
      const before = network.star.host('publisher').deviceBytes().sent
      await Promise.all(readers.map((reader) => reader.ok('pull', link)))
      const images = (network.star.host('publisher').deviceBytes().sent - before) / storedBytes
      t.ok(images > 0.9, `${images} images were sent`)
      t.ok(images < MOST_IMAGES, `by the publisher, to ${NAMES.length} readers`)
      for (const reader of readers) await reader.ok('verify', link)
    }
    rmSync(source, { recursive: true })
  }
)
