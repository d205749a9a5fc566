import test from 'brittle'
import {
  decodeProfile,
  encodeProfile,
  MAX_PROFILE_CHUNKS,
  type BootProfile
} from '../../../src/image/format/boot-profile.ts'
import { PackedWriter } from '../../../src/image/format/packed-bytes.ts'
import { chunksAtPlaces, placeProfile } from '../../../src/image/format/profile-places.ts'
import { TreeBuilder } from '../../../src/image/tree/tree-builder.ts'
import type { ColumnTree } from '../../../src/image/tree/column-tree.ts'
import { CHUNK_BYTES } from '../../../src/image/tree/tree.ts'
import { attributesOf } from '../attributes.ts'

void test('a profile is packed and unpacked in its order', (t) => {
  const profiles: BootProfile[] = [
    { chunks: [], ready: 0 },
    { chunks: [5, 6, 7, 0, 99, 1, 2], ready: 4 },
    { chunks: [99, 98, 97], ready: 3 }
  ]
  for (const profile of profiles) t.alike(decodeProfile(encodeProfile(profile), 100), profile)
  const many = Array.from({ length: MAX_PROFILE_CHUNKS }, (_, n) => n)
  t.is(encodeProfile({ chunks: many, ready: 1 }).length, 4 + 1 + 3 + 1 + 1 + 1 + 3, 'runs')
})

function packed(...numbers: readonly (number | readonly [signed: number])[]): Buffer {
  const writer = new PackedWriter()
  writer.bytes(Buffer.from('DCPF'))
  for (const number of numbers) {
    if (typeof number === 'number') writer.varint(number)
    else writer.signed(number[0])
  }
  return writer.view()
}

void test('a profile that does not fit its image is refused', (t) => {
  t.alike(decodeProfile(packed(1, 3, 2, 1, [4], 3), 10), { chunks: [4, 5, 6], ready: 2 })
  const bad: [string, Buffer][] = [
    ['another format', Buffer.from('DCIX\x01\x00\x00\x00')],
    ['another version', packed(2, 0, 0, 0)],
    ['more chunks than the image has', packed(1, 11, 0, 1, [0], 11)],
    ['more chunks than any may have', packed(1, 2 ** 40, 0, 0)],
    ['ready after its end', packed(1, 1, 2, 1, [0], 1)],
    ['a chunk beyond the end', packed(1, 2, 0, 1, [9], 2)],
    ['a chunk before the start', packed(1, 1, 0, 1, [-1], 1)],
    ['an empty run', packed(1, 1, 0, 1, [0], 0)],
    ['too few chunks', packed(1, 2, 0, 1, [0], 1)],
    ['a chunk twice', packed(1, 2, 0, 2, [0], 1, [-1], 1)],
    ['something after its end', packed(1, 1, 0, 1, [0], 1, 0)],
    ['cut short', packed(1, 1, 0, 1)]
  ]
  for (const [what, bytes] of bad) t.exception(() => decodeProfile(bytes, 10), /BAD|bad/, what)
})

/** Files of the root directory, by name: the chunks that each has. */
function treeOf(files: Readonly<Record<string, readonly number[]>>, chunks: number): ColumnTree {
  const builder = new TreeBuilder(attributesOf('directory', { mode: 0o755 }))
  for (let chunk = 0; chunk < chunks; chunk++) builder.addChunk(chunk, CHUNK_BYTES, true)
  for (const [name, numbers] of Object.entries(files)) {
    const extents = numbers.map((chunk, position) => ({ position, chunk, count: 1 }))
    const size = numbers.length * CHUNK_BYTES
    const inode = builder.addInode(attributesOf('file'), { size, extents })
    builder.link(0, Buffer.from(name, 'latin1'), inode)
  }
  return builder.finish()
}

void test('a profile is carried to another version by its files', (t) => {
  const first = treeOf({ init: [0, 1, 2], 'lib-\xff': [3, 4], gone: [5] }, 6)
  const placed = placeProfile(first, { chunks: [0, 1, 4, 5, 3, 2], ready: 1 })
  t.alike(
    placed.places.map(({ path, position, count }) => [
      Buffer.from(path).toString('latin1'),
      position,
      count
    ]),
    [
      ['init', 0, 1],
      ['init', 1, 1],
      ['lib-\xff', 1, 1],
      ['gone', 0, 1],
      ['lib-\xff', 0, 1],
      ['init', 2, 1]
    ]
  )
  t.is(placed.ready, 1)
  t.alike(chunksAtPlaces(first, placed), { chunks: [0, 1, 4, 5, 3, 2], ready: 1 })
  // The library is first now, and init is shorter.
  const second = treeOf({ 'lib-\xff': [0, 1], init: [2, 3] }, 4)
  t.alike(chunksAtPlaces(second, placed), { chunks: [2, 3, 1, 0], ready: 1 })
  const all = { ...placed, ready: placed.places.length }
  t.is(chunksAtPlaces(second, all).ready, 4)
})
