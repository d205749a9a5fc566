import { createHash, randomBytes } from 'node:crypto'
import test from 'brittle'
import { isContainerError } from '../../../src/core/errors.ts'
import { decodeHashDelta, encodeHashDelta } from '../../../src/image/format/hash-delta.ts'
import { decodePublishCache, encodePublishCache } from '../../../src/image/publish/publish-cache.ts'
import { STATUS_WORDS } from '../../../src/image/source/file-status.ts'
import { describeTree, everyKindOfTree } from '../trees.ts'

const hash = (n: number): Buffer => createHash('sha256').update(String(n)).digest().subarray(0, 16)
const hashes = (...numbers: number[]): Buffer => Buffer.concat(numbers.map(hash))
const range = (from: number, to: number): number[] =>
  Array.from({ length: to - from }, (_, n) => from + n)

void test('hashes come back from what differs', (t) => {
  const base = hashes(...range(0, 1000))
  const cases: [string, number[], number][] = [
    ['equal', range(0, 1000), 10],
    ['one changed', [...range(0, 500), 2000, ...range(501, 1000)], 40],
    ['some left out, some moved', [...range(900, 1000), ...range(0, 800)], 20],
    ['all new', range(2000, 2010), 180],
    ['none', [], 0],
    ['back and forth', [5, 3, 999, 0, 3000, 0], 60]
  ]
  for (const [title, numbers, most] of cases) {
    const wanted = hashes(...numbers)
    const delta = encodeHashDelta(wanted, base)
    t.ok(delta.length <= most, `${title}: ${delta.length} bytes`)
    t.alike(Buffer.from(decodeHashDelta(delta, base, numbers.length)), wanted, title)
  }
})

void test('a hostile difference is refused', (t) => {
  const base = hashes(...range(0, 100))
  const delta = encodeHashDelta(hashes(...range(0, 50), 2000, ...range(60, 100)), base)
  const count = 91
  const refuses = (bytes: Uint8Array, chunks = count, from: Buffer = base): string => {
    try {
      decodeHashDelta(bytes, from, chunks)
      return 'no error'
    } catch (error) {
      return isContainerError(error) ? error.code : String(error)
    }
  }
  t.is(refuses(delta), 'no error')
  const cuts = Array.from(delta, (_, length) => refuses(delta.subarray(0, length)))
  t.ok(
    cuts.every((code) => code === 'BAD_INDEX'),
    'cut anywhere'
  )
  t.is(refuses(delta, count - 1), 'BAD_INDEX', 'more than chunks')
  t.is(refuses(delta, count + 1), 'BAD_INDEX', 'fewer')
  t.is(refuses(delta, 2 ** 40), 'BAD_INDEX', 'absurdly many')
  t.is(refuses(delta, count, base.subarray(0, 320)), 'BAD_INDEX', 'a base that is too short')
  const outcomes = new Set<string>()
  for (let n = 0; n < 2000; n++) outcomes.add(refuses(randomBytes(1 + (n % 60))))
  t.alike([...outcomes], ['BAD_INDEX'], 'noise')
})

void test('a record of a publish is read whole or not at all', (t) => {
  const cache = {
    root: Buffer.from('/srv/\xff', 'latin1'),
    device: 2n ** 63n,
    version: 7,
    indexDigest: `sha256:${'0'.repeat(64)}`,
    records: {
      inode: Uint32Array.of(1, 2, 9),
      statuses: Uint32Array.from({ length: 3 * STATUS_WORDS }, (_, n) => 2 ** 32 - 1 - n)
    }
  }
  const tree = everyKindOfTree()
  const file = encodePublishCache({ ...cache, tree })
  const { tree: treeRead, ...read } = decodePublishCache(file)!
  t.alike({ ...read, root: Buffer.from(read.root) }, cache)
  t.alike(describeTree(treeRead), describeTree(tree))
  const cuts = Array.from(file, (_, length) => file.subarray(0, length))
  const damaged = Array.from(file, (byte, n) => {
    const copy = Buffer.from(file)
    copy[n] = byte ^ 1
    return copy
  })
  t.alike(
    [...cuts, ...damaged].filter((bytes) => decodePublishCache(bytes) !== undefined),
    [],
    'neither cut nor damaged anywhere'
  )
})
