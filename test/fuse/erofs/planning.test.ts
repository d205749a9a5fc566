import test from 'brittle'
import { TreeBuilder } from '../../../src/image/tree/tree-builder.ts'
import { CHUNK_BYTES, type Extent, type InodeAttributes } from '../../../src/image/tree/tree.ts'
import { crc32c } from '../../../src/fuse/erofs/crc32c.ts'
import { granuleBytes, planDataLayout, segmentAt } from '../../../src/fuse/content/data-layout.ts'
import { planErofsMount } from '../../../src/fuse/erofs/erofs-mount-plan.ts'
import { chunkAt } from '../../../src/fuse/content/extent-search.ts'
import { parseKernelRelease } from '../../../src/fuse/linux/kernel-facts.ts'
import { mountsUnder, parseMountInfo } from '../../../src/fuse/linux/mount-table.ts'

const FILE: InodeAttributes = {
  type: 'file',
  mode: 0o644,
  uid: 0,
  gid: 0,
  mtimeSeconds: 0,
  mtimeNanoseconds: 0,
  deviceMajor: 0,
  deviceMinor: 0
}
const PATHS = { meta: '/m', data: '/d/data', target: '/t' }

void test('a mount is planned by what the kernel can', (t) => {
  const table = [
    { major: 6, minor: 12, backing: 'auto', steps: ['mount'] },
    { major: 6, minor: 18, backing: 'file', steps: ['mount'] },
    { major: 6, minor: 18, backing: 'loop', steps: ['attach-loop', 'attach-loop', 'mount'] },
    { major: 6, minor: 11, backing: 'auto', steps: ['attach-loop', 'attach-loop', 'mount'] },
    { major: 5, minor: 16, backing: 'auto', steps: ['attach-loop', 'attach-loop', 'mount'] }
  ] as const
  for (const { major, minor, backing, steps } of table) {
    const plan = planErofsMount({ erofs: true, major, minor }, PATHS, backing)
    t.alike(
      plan.map((step) => step.do),
      [...steps],
      `Linux ${major}.${minor}, ${backing}`
    )
  }
  for (const kernel of [
    { erofs: true, major: 5, minor: 15 },
    { erofs: false, major: 6, minor: 18 }
  ]) {
    t.exception(() => planErofsMount(kernel, PATHS), /no EROFS/)
  }
})

void test('kernel releases', (t) => {
  t.alike(parseKernelRelease('6.12.3-amd64'), { major: 6, minor: 12 })
  t.alike(parseKernelRelease('strange'), { major: 0, minor: 0 })
})

void test('content is laid at block boundaries with gaps, holes left out', (t) => {
  const builder = new TreeBuilder()
  const add = (name: string, size: number, extents: Extent[]): number => {
    const inode = builder.addInode(FILE, { size, extents })
    builder.link(0, Buffer.from(name), inode)
    return inode
  }
  for (let chunk = 0; chunk < 8; chunk++) builder.addChunk(chunk, 1, false)
  const dense = add('a', CHUNK_BYTES + 2, [{ position: 0, chunk: 0, count: 2 }])
  const empty = add('b', 0, [])
  const sparse = add('c', 10 * CHUNK_BYTES, [
    { position: 1, chunk: 2, count: 2 },
    { position: 9, chunk: 4, count: 1 }
  ])
  const hole = add('d', CHUNK_BYTES, [])
  const layout = planDataLayout(builder.finish())
  t.is(layout.segmentCount, 3)
  t.alike([...layout.inode], [dense, sparse, sparse])
  t.alike([...layout.position], [0, CHUNK_BYTES, 9 * CHUNK_BYTES])
  t.alike([...layout.bytes], [CHUNK_BYTES + 2, 2 * CHUNK_BYTES, CHUNK_BYTES])
  t.alike([...layout.block], [0, 17 + 64, 17 + 64 + 32 + 64])
  t.is(layout.blocks, 17 + 64 + 32 + 64 + 16 + 64)
  for (const inode of [empty, hole]) {
    t.is(layout.firstSegment[inode], layout.firstSegment[inode + 1], 'no segment')
  }
  const found = [0, 16, 80, 81, 176, 177, 9999].map((block) => segmentAt(layout, block))
  t.alike(found, [0, 0, 0, 1, 1, 2, 2])
})

void test('huge sparse files are mapped in larger units', (t) => {
  t.is(granuleBytes(1), CHUNK_BYTES)
  t.is(granuleBytes(2 ** 36), CHUNK_BYTES)
  t.is(granuleBytes(2 ** 36 + 1), 2 * CHUNK_BYTES)
  t.is(granuleBytes(2 ** 50), 2 ** 30)
})

void test('chunks are found by position', (t) => {
  const extents = [
    { position: 1, chunk: 10, count: 2 },
    { position: 5, chunk: 3, count: 1 }
  ]
  const found = [0, 1, 2, 3, 4, 5, 6].map((position) => chunkAt(extents, position))
  t.alike(found, [undefined, 10, 11, undefined, undefined, 3, undefined])
})

void test('CRC-32C without the last inversion', (t) => {
  // The check value of the algorithm is e3069283.
  t.is((crc32c(Buffer.from('123456789')) ^ 0xffffffff) >>> 0, 0xe3069283)
})

void test('the mount table', (t) => {
  const table = parseMountInfo(
    [
      '21 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw',
      '30 21 0:40 / /run/a\\040b rw,nosuid - fuse dat-container-data ro',
      '31 21 0:41 / /run/a\\040b/rootfs ro shared:2 master:3 - erofs /m ro',
      ''
    ].join('\n')
  )
  t.alike(
    table.map(({ device, mountPoint, type }) => [device, mountPoint, type]),
    [
      ['8:1', '/', 'ext4'],
      ['0:40', '/run/a b', 'fuse'],
      ['0:41', '/run/a b/rootfs', 'erofs']
    ]
  )
  const below = mountsUnder(table, '/run/a b').map(({ id }) => id)
  t.alike(below, [31, 30], 'the last mounted first')
  t.alike(mountsUnder(table, '/run/a'), [], 'a prefix of a name is not a parent')
})
