import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'brittle'
import { BlockExchangeFile } from '../../../src/daemon/publish/block-exchange.ts'
import { temporaryDirectory } from '../../image/planted-tree.ts'

void test('blocks come out of a slot as they were put in, with their room', async (t) => {
  const place = temporaryDirectory()
  t.teardown(place.remove)
  await using exchange = BlockExchangeFile.create(place.path)
  const { path, slotBytes, room } = exchange.layout
  const filled = Buffer.concat([
    Buffer.alloc(room),
    Buffer.from('one'),
    Buffer.alloc(room),
    Buffer.from('three')
  ])
  const file = await open(path, 'r+')
  await file.write(filled, 0, filled.length, 2 * slotBytes)
  await file.close()
  const blocks = exchange.read(2, [3, 5])
  t.alike(
    blocks.map((block) => block.subarray(room).toString()),
    ['one', 'three']
  )
  t.is(statSync(path).mode & 0o777, 0o600)
})

void test('lengths that do not fit a slot are refused', async (t) => {
  const place = temporaryDirectory()
  t.teardown(place.remove)
  await using exchange = BlockExchangeFile.create(place.path)
  const { slots, slotBytes } = exchange.layout
  const unsound: [number, number[]][] = [
    [slots, [1]],
    [-1, [1]],
    [0.5, [1]],
    [0, [slotBytes]],
    [0, [-5]],
    [0, [1.5]],
    [0, [Number.NaN]]
  ]
  for (const [slot, lengths] of unsound) {
    t.exception(() => exchange.read(slot, lengths), /do not fit/, `${slot}: ${lengths.join()}`)
  }
})

void test('the file is gone with the publish, and with the daemon that died', async (t) => {
  const place = temporaryDirectory()
  t.teardown(place.remove)
  {
    await using _ended = BlockExchangeFile.create(place.path)
    t.is(readdirSync(place.path).length, 1)
  }
  t.alike(readdirSync(place.path), [])
  await using left = BlockExchangeFile.create(place.path)
  writeFileSync(join(place.path, 'daemon.sock'), 'x')
  await BlockExchangeFile.sweep(place.path)
  t.alike(readdirSync(place.path), ['daemon.sock'])
  t.exception(() => readFileSync(left.layout.path), /ENOENT/)
})
