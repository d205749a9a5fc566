import test from 'brittle'
import Hyperbee from 'hyperbee'
import { SortedHyperbeeWriter } from '../../../src/p2p/drive/sorted-hyperbee-writer.ts'
import { random } from '../../image/trees.ts'
import { temporaryStore } from '../temporary-store.ts'

/** Around where a leaf is full, where the tree gets a level more, and several appends. */
const COUNTS = [0, 1, 8, 9, 10, 44, 45, 46, 1_000, 3_000]
const APPENDED = 700
/** Before each block. */
const ROOM = 5
const CHANGES = 400

const key = (n: number): Buffer => Buffer.from(`key ${String(n).padStart(6, '0')}`)
const value = (text: string): Buffer => Buffer.from(`value ${text}`)

void test('what is made in order is a Hyperbee like any other', async (t) => {
  const store = await temporaryStore(t)
  const next = random(7)
  for (const count of COUNTS) {
    const core = store.get({ name: `core ${count}` })
    await core.ready()
    const bee = new Hyperbee(core)
    const header = bee.batch()
    await header.getRoot(true)
    await header.close()
    const expected = new Map<string, string>()
    const ascending = new SortedHyperbeeWriter({ first: core.length, room: ROOM })
    for (let n = 0; n < count; n++) {
      // Between them is room for others.
      ascending.add(key(2 * n), value(`${n}`))
      expected.set(key(2 * n).toString(), value(`${n}`).toString())
      if (ascending.length < APPENDED) continue
      await core.append(blocksOf(ascending))
      t.alike(await contentOf(bee), sorted(expected), `${count}: whole after ${n + 1}`)
    }
    if (ascending.length > 0) await core.append(blocksOf(ascending))
    t.alike(await contentOf(bee), sorted(expected), `${count}: all are there, in order`)

    for (let change = 0; change < CHANGES; change++) {
      const n = Math.floor(next() * (2 * count + 2))
      const name = key(n).toString()
      if (next() < 0.5) {
        await bee.del(key(n))
        expected.delete(name)
      } else {
        await bee.put(key(n), value(`new ${change}`))
        expected.set(name, value(`new ${change}`).toString())
      }
    }
    t.alike(await contentOf(bee), sorted(expected), `${count}: and can be changed`)
    let found = 0
    for (const [name, text] of expected) {
      if ((await bee.get(Buffer.from(name)))?.value.toString() === text) found++
    }
    t.is(found, expected.size, `${count}: each is found`)
    await bee.close()
  }
})

void test('what is made goes on from entries that a Hyperbee has', async (t) => {
  const store = await temporaryStore(t)
  for (const count of COUNTS) {
    const core = store.get({ name: `core ${count}` })
    await core.ready()
    const bee = new Hyperbee(core)
    await bee.put(key(0), value('0'))
    const expected = new Map([[key(0).toString(), value('0').toString()]])
    const ascending = new SortedHyperbeeWriter({
      first: core.length,
      before: [core.length - 1],
      room: ROOM
    })
    for (let n = 1; n <= count; n++) {
      ascending.add(key(n), value(`${n}`))
      expected.set(key(n).toString(), value(`${n}`).toString())
      if (ascending.length === APPENDED || n === count) await core.append(blocksOf(ascending))
    }
    await bee.put(key(0), value('changed'))
    expected.set(key(0).toString(), value('changed').toString())
    t.alike(await contentOf(bee), sorted(expected), `${count}: all are there, in order`)
    await bee.close()
  }
})

/** Without their room. */
function blocksOf(bee: SortedHyperbeeWriter): Buffer[] {
  const { bytes, lengths } = bee.take()
  let end = 0
  return lengths.map((length) => {
    const start = end + ROOM
    end = start + length
    return Buffer.from(bytes.subarray(start, end))
  })
}

async function contentOf(bee: Hyperbee): Promise<[string, string][]> {
  const content: [string, string][] = []
  for await (const entry of bee.createReadStream()) {
    content.push([entry.key.toString(), entry.value.toString()])
  }
  return content
}

function sorted(entries: Map<string, string>): [string, string][] {
  return [...entries].toSorted(([a], [b]) => (a < b ? -1 : 1))
}
