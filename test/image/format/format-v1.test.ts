/** Images of format 1 must be readable by every later release. The fixture is never rewritten. */
import { readFileSync } from 'node:fs'
import test from 'brittle'
import { decodeIndex, decompressPart } from '../../../src/image/format/index-codec.ts'
import { decodeManifest } from '../../../src/image/format/manifest-codec.ts'
import { readFileRange, resolvePath } from '../../../src/image/chunk/read-file.ts'
import { MemoryStore } from '../memory-store.ts'
import { noise } from '../planted-tree.ts'
import { describeTree } from '../trees.ts'

// Tests run from the project's folder, the compiled ones too.
const FIXTURES = {
  'a block for each chunk (index version 1)': 'test/fixtures/format-v1',
  'chunks that share blocks (index version 2)': 'test/fixtures/format-v1-index-v2'
}

/** Every block behind its length, 32 bits little-endian. */
function readBlocks(folder: string): MemoryStore {
  const framed = readFileSync(`${folder}/blocks.bin`)
  const store = new MemoryStore()
  let offset = 0
  while (offset < framed.length) {
    const start = offset + 4
    offset = start + framed.readUInt32LE(offset)
    store.blocks.push(framed.subarray(start, offset))
  }
  return store
}

for (const [what, folder] of Object.entries(FIXTURES)) {
  void test(`an image of format 1 can be read: ${what}`, async (t) => {
    const store = readBlocks(folder)
    const block = Buffer.from(store.blocks.at(-1)!)
    t.alike(block, readFileSync(`${folder}/manifest.json`))
    const manifest = decodeManifest(block)
    t.is(manifest.name, 'fixture')
    t.is(manifest.created, '2023-11-14T22:13:20.000Z')
    t.is(manifest.versions.length, 1)
    const packed = decompressPart(store.part(manifest.index), manifest.index, 1e6)
    t.alike(packed, readFileSync(`${folder}/index.bin`))
    const tree = decodeIndex(packed)
    const blocks = new Set(tree.chunks.block)
    t.is(blocks.size, folder.endsWith('v2') ? 1 : tree.chunks.length)
    const expected: unknown = JSON.parse(readFileSync(`${folder}/tree.json`, 'utf8'))
    t.alike(JSON.parse(JSON.stringify(describeTree(tree))), expected)
    const hashes = decompressPart(store.part(manifest.chunkHashes), manifest.chunkHashes, 1e6)
    t.is(hashes.length, 16 * manifest.chunks)

    const read = async (path: string | Buffer, length = 1e6): Promise<Buffer> =>
      await readFileRange(tree, store.reader(tree), resolvePath(tree, path)!, 0, length)
    t.ok((await read('bin/tool')).equals(Buffer.alloc(70_000, 'tool ')))
    t.is(resolvePath(tree, 'bin/tool'), resolvePath(tree, 'usr/bin/same-tool'))
    t.ok((await read('noise')).equals(noise(300)))
    const sparse = Buffer.concat([Buffer.alloc(65_536, 'sparse '), Buffer.alloc(34_464)])
    t.ok((await read('sparse', 100_000)).equals(sparse))
    t.is((await read(Buffer.from('latin1-\xe9', 'latin1'))).toString(), 'é')
  })
}
