import test from 'brittle'
import * as fc from 'fast-check'
import { planDataLayout } from '../../src/fuse/content/data-layout.ts'
import { planErofsImage } from '../../src/fuse/erofs/erofs-plan.ts'
import { FuseReply, MAX_ANSWER_BYTES } from '../../src/fuse/protocol/fuse-reply.ts'
import { listDirectory } from '../../src/fuse/plain/list-directory.ts'
import { compressPart, decompressPart, pointerTo } from '../../src/image/format/image-part.ts'
import { decodeIndex, encodeIndex } from '../../src/image/format/index-codec.ts'
import { INDEX_COLUMNS, INDEX_MAGIC, MAX_INDEX_BYTES } from '../../src/image/format/index-format.ts'
import { PackedReader, PackedWriter } from '../../src/image/format/packed-bytes.ts'
import { parseTarHeader, TAR_RECORD_BYTES } from '../../src/image/tar/tar-header.ts'
import { exportTar } from '../../src/image/export/tar-export.ts'
import { walk } from '../../src/image/tree/walk.ts'
import { everyKindOfTree } from '../image/trees.ts'
import { fuzz } from './fuzz.ts'
import { mutate, mutations } from './mutations.ts'
import type { Mutation } from './mutations.ts'
import type { ColumnTree } from '../../src/image/tree/column-tree.ts'

const MINUTES_5 = { timeout: 300_000 }
const PACKED = encodeIndex(everyKindOfTree())
const MAX_VARINT = Number.MAX_SAFE_INTEGER

interface Parts {
  readonly version: number
  readonly counts: readonly number[]
  readonly columns: readonly Uint8Array[]
}

function takeApart(packed: Uint8Array): Parts {
  const reader = new PackedReader(packed)
  reader.bytes(INDEX_MAGIC.length)
  const version = reader.varint(MAX_VARINT)
  const counts = Array.from({ length: 4 }, () => reader.varint(MAX_VARINT))
  return { version, counts, columns: INDEX_COLUMNS.map(() => reader.block(MAX_INDEX_BYTES)) }
}

function putTogether({ version, counts, columns }: Parts): Buffer {
  const writer = new PackedWriter()
  writer.bytes(INDEX_MAGIC)
  for (const number of [version, ...counts]) writer.varint(number)
  for (const column of columns) writer.block(column)
  return writer.view()
}

/** Everything that a reader does with a tree that was accepted, short of mounting it. */
function use(tree: ColumnTree): void {
  const again = decodeIndex(encodeIndex(tree))
  if (again.inodeCount !== tree.inodeCount) throw new Error('it does not survive its own encoding')
  const reply = new FuseReply()
  for (const { path, inode } of walk(tree)) {
    if (path.length > 0) requireInside(path)
    reply.clear()
    listDirectory(tree, inode, 0, MAX_ANSWER_BYTES, true, reply)
    tree.xattrs(inode)
  }
  planErofsImage(tree, planDataLayout(tree))
}

function requireInside(path: Uint8Array): void {
  const names = Buffer.from(path).toString('latin1').split('/')
  if (names.some((name) => ['', '.', '..'].includes(name) || name.includes('\0'))) {
    throw new Error(`a path leads out: ${names.join('/')}`)
  }
}

void test('an index of bytes that were changed', MINUTES_5, async (t) => {
  await fuzz(t, { cases: 60_000, accepted: 2_500 }, mutations, (list) =>
    use(decodeIndex(mutate(PACKED, list)))
  )
})

interface ColumnChange {
  readonly column: number
  readonly list: readonly Mutation[]
}

void test('an index whose columns were changed and fit their lengths', MINUTES_5, async (t) => {
  const parts = takeApart(PACKED)
  t.ok(putTogether(parts).equals(PACKED))
  const change: fc.Arbitrary<ColumnChange> = fc.record({
    column: fc.nat(INDEX_COLUMNS.length - 1),
    list: mutations
  })
  const changes = fc.record({
    changes: fc.array(change, { minLength: 1, maxLength: 2 }),
    count: fc.option(fc.tuple(fc.nat(3), fc.oneof(fc.nat(50), fc.nat(MAX_VARINT))))
  })
  await fuzz(t, { cases: 60_000, accepted: 350 }, changes, ({ changes: list, count }) => {
    const columns = [...parts.columns]
    for (const one of list) columns[one.column] = mutate(columns[one.column]!, one.list)
    const counts = [...parts.counts]
    if (count !== null) counts[count[0]] = count[1]
    use(decodeIndex(putTogether({ ...parts, columns, counts })))
  })
})

void test('a part with a digest of what was changed', MINUTES_5, async (t) => {
  const values = fc.record({
    list: mutations,
    // Either is nearly always refused: what comes after it is seen by the others.
    frame: fc.option(mutations, { freq: 1 }),
    bytes: fc.option(fc.nat(2 ** 33), { freq: 1 })
  })
  await fuzz(t, { cases: 15_000, accepted: 600 }, values, ({ list, frame, bytes }) => {
    const packed = mutate(PACKED, list)
    const blocks: Buffer[] = compressPart(packed, 1)
    const changed = frame === null ? blocks : blocks.map((block) => mutate(block, frame))
    const pointer = pointerTo(changed, 0, bytes ?? packed.length)
    use(decodeIndex(decompressPart(changed, pointer, MAX_INDEX_BYTES)))
  })
})

void test('an archive of a tree that was accepted leads nowhere else', MINUTES_5, async (t) => {
  const parts = takeApart(PACKED)
  const names = INDEX_COLUMNS.indexOf('nameBytes')
  const targets = INDEX_COLUMNS.indexOf('targetBytes')
  const values = fc.record({ name: mutations, target: mutations })
  const chunks = { read: async (chunk: number) => Buffer.alloc(sizeOf(chunk)) }
  let sizeOf = (_chunk: number): number => 0
  await fuzz(t, { cases: 8_000, accepted: 250 }, values, async ({ name, target }) => {
    const columns = [...parts.columns]
    columns[names] = mutate(columns[names]!, name)
    columns[targets] = mutate(columns[targets]!, target)
    const tree = decodeIndex(putTogether({ ...parts, columns }))
    sizeOf = (chunk) => tree.chunkBytes[chunk]!
    const written: Uint8Array[] = []
    await exportTar(tree, chunks, async (bytes) => {
      written.push(bytes)
    })
    requireHeadersInside(Buffer.concat(written))
  })
})

function requireHeadersInside(archive: Buffer): void {
  for (let offset = 0; offset < archive.length;) {
    const header = parseTarHeader(archive.subarray(offset, offset + TAR_RECORD_BYTES))
    if (header === undefined) return
    const path = header.path.toString('latin1').replace(/^\.\//, '').replace(/\/$/, '')
    if (path !== '' && header.type !== 'x') requireInside(Buffer.from(path, 'latin1'))
    offset += TAR_RECORD_BYTES + Math.ceil(header.size / TAR_RECORD_BYTES) * TAR_RECORD_BYTES
  }
}
