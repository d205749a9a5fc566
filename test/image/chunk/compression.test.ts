import test from 'brittle'
import {
  compressChunk,
  compressFrame,
  decompressChunk
} from '../../../src/image/chunk/compression.ts'
import { isContainerError } from '../../../src/core/errors.ts'
import { CHUNK_BYTES } from '../../../src/image/tree/tree.ts'
import { random } from '../trees.ts'

function noise(bytes: number): Buffer {
  const next = random(bytes)
  return Buffer.from(Array.from({ length: bytes }, () => Math.floor(next() * 256)))
}

function refused(stored: Uint8Array, raw: boolean, expectedBytes: number): boolean {
  try {
    decompressChunk(stored, raw, expectedBytes)
  } catch (error) {
    return isContainerError(error, 'BAD_BLOCK')
  }
  return false
}

void test('chunks come back as they were', (t) => {
  for (const bytes of [1, 2, 20, 4095, 65_535, CHUNK_BYTES]) {
    for (const content of [Buffer.alloc(bytes), noise(bytes)]) {
      const { stored, raw } = compressChunk(content)
      t.ok(raw ? stored.length === bytes : stored.length < bytes)
      t.ok(content.equals(decompressChunk(stored, raw, bytes)), `${bytes} bytes, raw ${raw}`)
    }
  }
  t.is(compressChunk(noise(1000)).raw, true)
  t.is(compressChunk(Buffer.alloc(1000)).raw, false)
})

void test('what is stored is a copy', (t) => {
  const content = noise(1000)
  const { stored } = compressChunk(content)
  const before = Buffer.from(stored)
  content.fill(0)
  compressChunk(noise(5000))
  t.ok(before.equals(stored))
  t.is(stored.buffer.byteLength, stored.length, 'in a buffer of its own')
})

void test('a block of any other length is refused, without inflating it', (t) => {
  const { stored } = compressChunk(Buffer.alloc(5000, 'ab'))
  t.ok(refused(stored, false, 4999))
  t.ok(refused(stored, false, 5001))
  t.ok(refused(stored, true, 5000))
  t.ok(refused(Buffer.concat([stored, stored]), false, 10_000), 'two frames')
  t.ok(refused(Buffer.concat([stored, Buffer.alloc(1)]), false, 5000), 'something after it')
  t.ok(refused(stored.subarray(0, -1), false, 5000))
  t.ok(refused(Buffer.alloc(0), false, 5000))
  t.ok(refused(Buffer.alloc(0), false, 0))
  const bomb = compressFrame(Buffer.alloc(64 * 1024 * 1024), 3)
  t.ok(refused(bomb, false, CHUNK_BYTES))
  t.ok(refused(bomb, false, 64 * 1024 * 1024), 'nothing larger than a chunk is a chunk')
})

void test('whatever is done to a block, it is content of the right length or BAD_BLOCK', (t) => {
  const content = Buffer.from('all work and no play makes '.repeat(300))
  const { stored } = compressChunk(content)
  const pick = random(8)
  const other: unknown[] = []
  for (let round = 0; round < 2000; round++) {
    const broken = Buffer.from(stored)
    broken[Math.floor(pick() * broken.length)] = Math.floor(pick() * 256)
    try {
      if (decompressChunk(broken, false, content.length).length !== content.length) other.push(0)
    } catch (error) {
      if (!isContainerError(error, 'BAD_BLOCK')) other.push(error)
    }
  }
  t.alike(other, [])
})
