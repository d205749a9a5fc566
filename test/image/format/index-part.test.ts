import test from 'brittle'
import { isContainerError } from '../../../src/core/errors.ts'
import { compressPart, encodeIndex, pointerTo } from '../../../src/image/format/index-codec.ts'
import { planIndex, readStoredIndex, readTree } from '../../../src/image/format/index-part.ts'
import { TreeBuilder } from '../../../src/image/tree/tree-builder.ts'
import type { DifferencePointer } from '../../../src/image/format/manifest.ts'
import { MemoryStore } from '../memory-store.ts'
import { noise } from '../planted-tree.ts'
import { describeTree } from '../trees.ts'

const FILES = 5_000

/** A tree of files whose sizes and times do not compress; `touched` has another time. */
function treeOf(seed: number, touched = -1) {
  const random = noise(FILES * 8, seed)
  const builder = new TreeBuilder()
  for (let n = 0; n < FILES; n++) {
    const chunk = builder.addChunk(n, 100 + (random.readUInt16LE(n * 8) >> 1), false)
    const inode = builder.addInode(
      {
        type: 'file',
        mode: 0o644,
        uid: 0,
        gid: 0,
        mtimeSeconds: n === touched ? 1 : random.readUInt32LE(n * 8 + 2),
        mtimeNanoseconds: random.readUInt16LE(n * 8 + 6),
        deviceMajor: 0,
        deviceMinor: 0
      },
      { size: 65_536, extents: [{ position: 0, chunk, count: 1 }] }
    )
    builder.link(0, Buffer.from(`file-${n}`), inode)
  }
  return builder.finish()
}

/** Stores an index as a publisher does; returns what an update finds. */
async function add(
  store: MemoryStore,
  packed: Buffer,
  previous?: Awaited<ReturnType<typeof stored>>
) {
  const plan = planIndex(packed, previous)
  if ('digest' in plan) return stored(store, plan)
  const part = pointerTo(plan.blocks, await store.append(plan.blocks), packed.length)
  return stored(store, plan.base === undefined ? part : { ...part, base: plan.base })
}

async function stored(store: MemoryStore, pointer: DifferencePointer) {
  return { pointer, stored: await readStoredIndex({ index: pointer }, blocksOf(store)) }
}

const blocksOf = (store: MemoryStore) => async (block: number) => store.blocks[block]!

void test('an index that differs little from the one before is stored as a difference', async (t) => {
  const store = new MemoryStore()
  const trees = [treeOf(1), treeOf(1, 17), treeOf(1, 4_000)]
  const [one, two, three] = trees.map((tree) => encodeIndex(tree))
  const first = await add(store, one!)
  t.absent(first.pointer.base)
  const second = await add(store, two!, first)
  t.alike(second.pointer.base, first.pointer)
  t.ok(second.pointer.storedBytes * 50 < first.pointer.storedBytes, 'and takes hardly any room')
  const third = await add(store, three!, second)
  t.alike(third.pointer.base, first.pointer, 'never a difference to a difference')
  t.alike((await add(store, three!, third)).pointer, third.pointer, 'an equal one is not stored')
  for (const [n, { pointer }] of [first, second, third].entries()) {
    const tree = await readTree({ index: pointer }, blocksOf(store))
    t.alike(describeTree(tree), describeTree(trees[n]!), `version ${n + 1} reads`)
  }
  const other = await add(store, encodeIndex(treeOf(2)), third)
  t.absent(other.pointer.base, 'what differs much is stored whole')
})

void test('a difference to the wrong thing is refused', async (t) => {
  const store = new MemoryStore()
  const first = await add(store, encodeIndex(treeOf(1)))
  const second = await add(store, encodeIndex(treeOf(1, 17)), first)
  const put = async (content: Buffer): Promise<DifferencePointer> => {
    const blocks = compressPart(content)
    return pointerTo(blocks, await store.append(blocks), content.length)
  }
  const magic = await put(Buffer.from([0x37, 0xa4, 0x30, 0xec, ...noise(1_000)]))
  const shorter = await put(encodeIndex(treeOf(3)).subarray(0, 1_000))
  const { base, ...alone } = second.pointer
  t.ok(base)
  for (const [what, pointer] of Object.entries({
    'a zstd dictionary': { ...alone, base: magic },
    'another index': { ...alone, base: shorter },
    nothing: alone,
    'a base that is too large': { ...alone, base: { ...first.pointer, bytes: 2 ** 40 } },
    'a base of another digest': { ...alone, base: { ...first.pointer, digest: alone.digest } }
  })) {
    const error = await stored(store, pointer).then(
      () => undefined,
      (cause: unknown) => cause
    )
    t.ok(isContainerError(error, 'BAD_INDEX'), what)
  }
})
