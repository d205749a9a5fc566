import test from 'brittle'
import { ContainerError, isContainerError } from '../../../src/core/errors.ts'
import {
  compressPart,
  decodeIndex,
  decompressPart,
  encodeIndex,
  pointerTo
} from '../../../src/image/format/index-codec.ts'
import { INDEX_COLUMNS, INDEX_MAGIC } from '../../../src/image/format/index-format.ts'
import { PackedReader, PackedWriter } from '../../../src/image/format/packed-bytes.ts'
import { TreeBuilder } from '../../../src/image/tree/tree-builder.ts'
import { attributesOf } from '../attributes.ts'
import { describeTree, everyKindOfTree, random } from '../trees.ts'
import type { IndexColumn } from '../../../src/image/format/index-format.ts'

/** The error of decoding `packed`, or undefined when it is a valid index. */
function decodingError(packed: Uint8Array): unknown {
  try {
    describeTree(decodeIndex(packed))
    return undefined
  } catch (error) {
    return error
  }
}

/** Takes a packed index apart, lets `change` at its numbers, and puts it together again. */
function tampered(
  packed: Buffer,
  change: (counts: number[], columns: Record<IndexColumn, Buffer>) => void
): Buffer {
  const reader = new PackedReader(packed)
  reader.bytes(INDEX_MAGIC.length)
  const counts = Array.from({ length: 5 }, () => reader.varint(Number.MAX_SAFE_INTEGER))
  const columns = Object.fromEntries(
    INDEX_COLUMNS.map((name) => [name, Buffer.from(reader.block(packed.length))])
  ) as Record<IndexColumn, Buffer>
  change(counts, columns)
  const writer = new PackedWriter()
  writer.bytes(INDEX_MAGIC)
  for (const count of counts) writer.varint(count)
  for (const name of INDEX_COLUMNS) writer.block(columns[name])
  return Buffer.from(writer.view())
}

function numbers(...values: number[]): Buffer {
  const writer = new PackedWriter()
  for (const value of values) writer.varint(value)
  return Buffer.from(writer.view())
}

void test('numbers survive packing', (t) => {
  const values = [0, 1, 127, 128, 2 ** 28 - 1, 2 ** 28, 2 ** 32, 2 ** 35 + 7, 2 ** 53 - 1]
  const writer = new PackedWriter()
  for (const value of values) {
    writer.varint(value)
    if (value < 2 ** 52) {
      writer.signed(-value)
      writer.signed(value)
    }
  }
  const reader = new PackedReader(writer.view())
  for (const value of values) {
    t.is(reader.varint(Number.MAX_SAFE_INTEGER), value)
    if (value < 2 ** 52) {
      t.is(reader.signed() + 0, 0 - value)
      t.is(reader.signed(), value)
    }
  }
  reader.end()
})

void test('a tree survives packing, number by number', (t) => {
  const tree = everyKindOfTree()
  const packed = encodeIndex(tree)
  t.alike(describeTree(decodeIndex(packed)), describeTree(tree))
  t.alike(encodeIndex(decodeIndex(packed)), packed, 'and packs to the same bytes again')
  const empty = new TreeBuilder().finish()
  t.alike(describeTree(decodeIndex(encodeIndex(empty))), describeTree(empty))
})

void test('a huge sparse file costs nothing', (t) => {
  const sizeWith = (size: number): number => {
    const builder = new TreeBuilder()
    builder.link(0, Buffer.from('f'), builder.addInode(attributesOf('file'), { size }))
    return encodeIndex(builder.finish()).length
  }
  t.ok(sizeWith(2 ** 40) - sizeWith(1) < 10)
})

void test('an index cut short at any byte is refused', (t) => {
  const packed = encodeIndex(everyKindOfTree())
  let refused = 0
  for (let length = 0; length < packed.length; length++) {
    if (isContainerError(decodingError(packed.subarray(0, length)), 'BAD_INDEX')) refused++
  }
  t.is(refused, packed.length)
  t.ok(isContainerError(decodingError(Buffer.concat([packed, Buffer.alloc(1)])), 'BAD_INDEX'))
})

void test('whatever is done to an index, only a ContainerError comes out', (t) => {
  const packed = encodeIndex(everyKindOfTree())
  const pick = random(20)
  const outcomes = { valid: 0, refused: 0, other: [] as unknown[] }
  for (let round = 0; round < 6000; round++) {
    const broken = Buffer.from(packed)
    for (let hits = 1 + Math.floor(pick() * 3); hits > 0; hits--) {
      const at = Math.floor(pick() * broken.length)
      if (pick() < 0.5) broken[at]! ^= 1 << Math.floor(pick() * 8)
      else broken[at] = Math.floor(pick() * 256)
    }
    const error = decodingError(broken)
    if (error === undefined) outcomes.valid++
    else if (isContainerError(error, 'BAD_INDEX', 'UNSUPPORTED_VERSION')) outcomes.refused++
    else outcomes.other.push(error)
  }
  t.alike(outcomes.other, [])
  t.ok(outcomes.refused > 1000, `${outcomes.refused} refused, ${outcomes.valid} still a tree`)
})

void test('broken numbers inside whole columns are refused too', (t) => {
  const packed = encodeIndex(everyKindOfTree())
  const pick = random(21)
  const other: unknown[] = []
  for (let round = 0; round < 4000; round++) {
    const broken = tampered(packed, (counts, columns) => {
      const name = INDEX_COLUMNS[Math.floor(pick() * INDEX_COLUMNS.length)]!
      const column = columns[name]
      const at = Math.floor(pick() * (column.length + 1))
      const value = Math.floor(2 ** (pick() * 53))
      columns[name] = Buffer.concat([
        column.subarray(0, at),
        numbers(value),
        column.subarray(Math.min(column.length, at + 1))
      ])
      if (pick() < 0.2) counts[1 + Math.floor(pick() * 4)] = Math.floor(2 ** (pick() * 40))
    })
    const error = decodingError(broken)
    if (error !== undefined && !(error instanceof ContainerError)) other.push(error)
  }
  t.alike(other, [])
})

void test('each kind of lie is refused', (t) => {
  const builder = new TreeBuilder()
  builder.addChunk(0, 10, true)
  const directory = builder.addInode(attributesOf('directory'))
  const file = builder.addInode(attributesOf('file'), {
    size: 10,
    extents: [{ position: 0, chunk: 0, count: 1 }]
  })
  const inner = builder.addInode(attributesOf('directory'))
  const link = builder.addInode(attributesOf('symlink'), { symlinkTarget: Buffer.from('ab') })
  builder.link(0, Buffer.from('ab'), directory)
  builder.link(0, Buffer.from('cd'), file)
  builder.link(directory, Buffer.from('ef'), inner)
  builder.link(directory, Buffer.from('gh'), link)
  const packed = encodeIndex(builder.finish())
  t.is(decodingError(tampered(packed, () => {})), undefined)

  const names = (text: string) => (_: number[], columns: Record<IndexColumn, Buffer>) => {
    columns.nameBytes = Buffer.from(text)
  }
  const column =
    (name: IndexColumn, ...values: number[]) =>
    (_: number[], columns: Record<IndexColumn, Buffer>) => {
      columns[name] = numbers(...values)
    }
  const count = (which: number, value: number) => (counts: number[]) => {
    counts[which] = value
  }
  const lies: Record<string, Parameters<typeof tampered>[1]> = {
    'name "..": path escape': names('..cdefgh'),
    'name with a slash': names('a/cdefgh'),
    'name with NUL': names('a\0cdefgh'),
    'names out of order': names('zzcdefgh'),
    'names repeated': names('cdcdefgh'),
    'a directory inside itself': column('entryInodes', 0, 0, 4, 0),
    'a cycle of two': column('entryInodes', 4, 1, 1, 0),
    'the root inside': column('entryInodes', 0, 0, 5, 6),
    'an inode that is not there': column('entryInodes', 0, 0, 0, 200),
    'an inode before the first': column('entryInodes', 0, 0, 0, 201),
    'too many inodes': count(1, 2 ** 24),
    'absurdly many inodes': count(1, 2 ** 50),
    'no inodes': count(1, 0),
    'too many entries': count(2, 2 ** 25),
    'too many extents': count(3, 2 ** 26),
    'one extent more': count(3, 2),
    'too many chunks': count(4, 2 ** 26),
    'a size without chunks for it': column('sizes', 2 ** 50),
    'a size that contradicts the chunk': column('sizes', 11),
    'an extent outside the file': column('layouts', 2, 1, 0, 1),
    'an extent outside the chunk table': column('layouts', 2, 0, 2, 1),
    'an extent before the chunk table': column('layouts', 2, 0, 1, 1),
    'an extent of nothing': column('layouts', 2, 0, 0, 0),
    'more entries than there are': column('entryCounts', 2, 2, 2 ** 40),
    'fewer entries than there are': column('entryCounts', 2, 1, 0),
    'a long symlink': column('targetLengths', 4096),
    'an empty symlink': (_, columns) => {
      columns.targetLengths = numbers(0)
      columns.targetBytes = Buffer.alloc(0)
    },
    'a chunk larger than a chunk': column('chunkStored', 65537 * 2),
    'a chunk before its block': column('chunkOffsets', 1),
    'a chunk behind its block': column('chunkOffsets', 2 ** 20),
    'a block number beyond 32 bits': column('chunkBlocks', 2 ** 33),
    'bytes left in a column': column('devices', 1)
  }
  for (const [name, lie] of Object.entries(lies)) {
    t.ok(isContainerError(decodingError(tampered(packed, lie)), 'BAD_INDEX'), name)
  }
  t.ok(
    isContainerError(decodingError(tampered(packed, count(0, 3))), 'UNSUPPORTED_VERSION'),
    'an index of a later release'
  )
})

void test('a part comes back whole, or not at all', (t) => {
  const bytes = Buffer.from(Array.from({ length: 20_000 }, random(5)).join())
  const blocks = compressPart(bytes)
  t.ok(blocks.length > 1)
  t.ok(blocks.every((block) => block.length <= 65536))
  const pointer = pointerTo(blocks, 7, bytes.length)
  t.is(pointer.block, 7)
  t.alike(decompressPart(blocks, pointer, bytes.length), bytes)
  const empty = compressPart(Buffer.alloc(0))
  t.is(decompressPart(empty, pointerTo(empty, 0, 0), 0).length, 0)

  const refused = (run: () => unknown): boolean => {
    try {
      run()
    } catch (error) {
      return isContainerError(error, 'BAD_INDEX')
    }
    return false
  }
  const flipped = blocks.map((block) => Buffer.from(block))
  flipped[0]![0]! ^= 1
  t.ok(
    refused(() => decompressPart(flipped, pointer, 2 ** 30)),
    'a bit flipped'
  )
  const damaged = pointerTo(flipped, 7, bytes.length)
  t.ok(
    refused(() => decompressPart(flipped, damaged, 2 ** 30)),
    'no frame, with the right digest'
  )
  t.ok(
    refused(() => decompressPart(blocks, pointer, bytes.length - 1)),
    'over the limit'
  )
  const lying = { ...pointer, bytes: 10 }
  t.ok(
    refused(() => decompressPart(blocks, lying, 100)),
    'a frame larger than it says'
  )
  t.ok(
    refused(() => decompressPart(blocks.slice(1), pointer, 2 ** 30)),
    'a block missing'
  )
  const double = [...blocks, ...blocks]
  t.ok(refused(() => decompressPart(double, pointerTo(double, 0, bytes.length), 2 ** 30)))
})
