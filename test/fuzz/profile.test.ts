import test from 'brittle'
import * as fc from 'fast-check'
import { decodeProfile, encodeProfile } from '../../src/image/format/boot-profile.ts'
import { PackedWriter } from '../../src/image/format/packed-bytes.ts'
import { chunksAtPlaces, placeProfile } from '../../src/image/format/profile-places.ts'
import { everyKindOfTree } from '../image/trees.ts'
import { fuzz } from './fuzz.ts'
import { mutate, mutations } from './mutations.ts'

const MINUTES_5 = { timeout: 300_000 }
const CHUNKS = 50
const PACKED = encodeProfile({ chunks: [40, 41, 42, 7, 0, 1, 2, 3, 49, 48, 12], ready: 6 })

/** What is accepted names chunks of the image, each once, and packs to the same. */
function use(packed: Uint8Array, chunkCount: number): void {
  const profile = decodeProfile(packed, chunkCount)
  const { chunks, ready } = profile
  const isSound = chunks.every(
    (chunk) => Number.isInteger(chunk) && chunk >= 0 && chunk < chunkCount
  )
  if (!isSound || new Set(chunks).size !== chunks.length) throw new Error('chunks that are none')
  if (ready < 0 || ready > chunks.length) throw new Error('ready when nothing was')
  const again = decodeProfile(encodeProfile(profile), chunkCount)
  if (again.chunks.some((chunk, n) => chunk !== chunks[n])) throw new Error('it changed')
}

void test('a profile of bytes that were changed', MINUTES_5, async (t) => {
  await fuzz(t, { cases: 30_000, accepted: 700 }, mutations, (list) =>
    use(mutate(PACKED, list), CHUNKS)
  )
})

void test('a profile of any numbers', MINUTES_5, async (t) => {
  const small = { arbitrary: fc.nat(12), weight: 8 }
  const number = fc.oneof(small, fc.nat(2 ** 31 - 1), fc.maxSafeNat())
  const values = fc.record({
    head: fc.option(fc.tuple(number, number, number), { freq: 1 }),
    runs: fc.array(fc.tuple(number, number), { minLength: 1, maxLength: 6 }),
    chunkCount: fc.oneof(fc.nat(20), fc.constant(64 * 1024 * 1024))
  })
  await fuzz(t, { cases: 30_000, accepted: 600 }, values, ({ head, runs, chunkCount }) => {
    const writer = new PackedWriter()
    writer.bytes(Buffer.from('DCPF'))
    // Any numbers at its head are hardly ever those of its runs: half the time they are made to fit.
    const length = Math.min(
      runs.reduce((sum, [, count]) => sum + count, 0),
      Number.MAX_SAFE_INTEGER
    )
    const counts = head ?? [length, Math.floor(length / 2), runs.length]
    for (const value of [1, ...counts, ...runs.flat()]) writer.varint(value)
    use(writer.view(), chunkCount)
  })
})

void test('places that are no files of the tree are left out', MINUTES_5, async (t) => {
  const tree = everyKindOfTree()
  const all = Array.from({ length: tree.chunks.length }, (_, chunk) => chunk)
  const names = placeProfile(tree, { chunks: all, ready: 1 }).places.map(({ path }) => path)
  const place = fc.record({
    path: fc.oneof(fc.constantFrom(...names), fc.uint8Array({ maxLength: 12 })),
    position: fc.oneof(fc.nat(4), fc.maxSafeNat()),
    count: fc.oneof(fc.nat(4), fc.maxSafeNat())
  })
  const values = fc.record({ places: fc.array(place), ready: fc.nat() })
  // What is no place of the tree is left out, so none is refused.
  await fuzz(t, { cases: 10_000, accepted: 10_000 }, values, (placed) => {
    const { chunks, ready } = chunksAtPlaces(tree, placed)
    if (ready > chunks.length) throw new Error('ready when nothing was')
    use(encodeProfile({ chunks, ready }), tree.chunks.length)
  })
})
