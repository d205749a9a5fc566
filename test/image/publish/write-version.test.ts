import {
  appendFileSync,
  closeSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  readlinkSync,
  renameSync,
  rmSync,
  writeFileSync
} from 'node:fs'
import { join } from 'node:path'
import test from 'brittle'
import { readChunkHashes, type ChunkHashes } from '../../../src/image/format/chunk-hashes.ts'
import { scanDirectory } from '../../../src/image/source/directory-source.ts'
import { isContainerError } from '../../../src/core/errors.ts'
import { decodeIndex, decompressPart } from '../../../src/image/format/index-codec.ts'
import { readStoredIndex } from '../../../src/image/format/index-part.ts'
import { decodeManifest, encodeManifest } from '../../../src/image/format/manifest-codec.ts'
import { writeVersion } from '../../../src/image/publish/write-version.ts'
import { readFileRange, resolvePath, walk } from '../../../src/image/chunk/read-file.ts'
import { CHUNK_BYTES } from '../../../src/image/tree/tree.ts'
import { MemoryStore } from '../memory-store.ts'
import { SPARSE_BYTES, noise, plantTree, temporaryDirectory } from '../planted-tree.ts'
import { describeTree } from '../trees.ts'
import type { Manifest } from '../../../src/image/format/manifest.ts'
import type { PublishOptions } from '../../../src/image/publish/publish-options.ts'
import type { WrittenVersion } from '../../../src/image/publish/write-version.ts'
import type { ErrorCode } from '../../../src/core/errors.ts'

async function publish(
  path: string,
  store: MemoryStore,
  options: Partial<PublishOptions> = {}
): Promise<WrittenVersion> {
  const image = await writeVersion(await scanDirectory(path), store, { name: 'test', ...options })
  store.blocks.push(encodeManifest(image.manifest))
  return image
}

/** As a publisher reads them for an update. */
function hashesOf(store: MemoryStore, manifest: Manifest): Promise<ChunkHashes> {
  return readChunkHashes(manifest, async (part) => decompressPart(store.part(part), part, 1e6))
}

/** As an update needs it. */
async function previousOf(store: MemoryStore, { tree, manifest }: WrittenVersion) {
  return {
    tree,
    chunkHashes: await hashesOf(store, manifest),
    index: await readStoredIndex(manifest, async (block) => store.blocks[block]!)
  }
}

async function refusal(run: () => Promise<unknown>): Promise<{ code: ErrorCode; text: string }> {
  try {
    await run()
  } catch (error) {
    if (isContainerError(error)) return { code: error.code, text: error.message }
    throw error
  }
  throw new Error('nothing was refused')
}

void test('everything in a directory comes back', async (t) => {
  const source = temporaryDirectory()
  t.teardown(source.remove)
  plantTree(source.path)
  const store = new MemoryStore()
  const { tree, manifest } = await publish(source.path, store)

  const index = decompressPart(store.part(manifest.index), manifest.index, 1e6)
  t.alike(describeTree(decodeIndex(index)), describeTree(tree), 'the stored index is the tree')
  const last = store.blocks.at(-1)!
  t.is(store.blocks.length, manifest.versions.at(-1)?.blocks)
  t.alike(decodeManifest(last), manifest, 'the stored manifest is the manifest')
  t.is(manifest.arch, 'amd64')
  t.alike(manifest.start, { mode: 'process', argv: ['/bin/sh'] })
  t.is(manifest.source.kind, 'directory')

  const reader = store.reader(tree)
  let entries = -1
  for (const { path, inode } of walk(tree)) {
    entries++
    const real = Buffer.concat([Buffer.from(`${source.path}/`), path])
    const label = path.toString('latin1').slice(0, 30)
    const status = lstatSync(real, { bigint: true })
    const attributes = tree.attributes(inode)
    t.is(attributes.mode, Number(status.mode) & 0o7777, `mode of ${label}`)
    t.is(attributes.uid, Number(status.uid), `uid of ${label}`)
    t.is(attributes.gid, Number(status.gid), `gid of ${label}`)
    const mtimeNs = BigInt(attributes.mtimeSeconds) * 1_000_000_000n
    t.is(mtimeNs + BigInt(attributes.mtimeNanoseconds), status.mtimeNs, `mtime of ${label}`)
    if (!status.isDirectory()) t.is(tree.linkCount(inode), Number(status.nlink), `links ${label}`)
    if (status.isSymbolicLink()) {
      t.alike(tree.symlinkTarget(inode), readlinkSync(real, { encoding: 'buffer' }))
    }
    if (!status.isFile()) continue
    t.is(tree.size(inode), Number(status.size), `size of ${label}`)
    if (status.size > 2 ** 30) continue
    const content = await readFileRange(tree, reader, inode, 0, Number(status.size))
    t.ok(content.equals(readFileSync(real)), `content of ${label}`)
  }
  t.is(entries, tree.entryCount)
  t.is(entries, manifest.entries)

  const at = (path: string): number => resolvePath(tree, path, { followSymlinks: false })!
  t.is(tree.type(at('fifo')), 'fifo')
  t.is(tree.type(at('socket')), 'socket')
  t.is(tree.type(at('null')), 'character')
  t.alike(
    [tree.attributes(at('null')).deviceMajor, tree.attributes(at('null')).deviceMinor],
    [1, 3]
  )
  const large = tree.attributes(at('large-numbers'))
  t.alike([large.type, large.deviceMajor, large.deviceMinor], ['block', 259, 70_000])
  t.is(at('hard2'), at('deep/er/still/hard'))
  t.alike(
    tree.xattrs(at('setuid')).map(({ name, value }) => [name.toString(), [...value]]),
    [
      ['trusted.empty', []],
      ['user.note', [0, 1, 255]]
    ]
  )
  t.is(tree.xattrs(at('bin')).length, 1)
  t.is(tree.attributes(at('nothing')).mtimeSeconds, 2 ** 32)
  t.is(tree.attributes(at('dangling')).mtimeSeconds, -86_401)
})

void test('holes stay holes, and zeros stay data', async (t) => {
  const source = temporaryDirectory()
  t.teardown(source.remove)
  plantTree(source.path)
  const store = new MemoryStore()
  const { tree } = await publish(source.path, store)
  const sparse = resolvePath(tree, 'sparse')!
  t.alike(
    tree.extents(sparse).map(({ position, count }) => [position, count]),
    [
      [0, 1],
      [100, 3],
      [2 ** 24, 1]
    ]
  )
  t.alike(tree.extents(resolvePath(tree, 'hole')!), [])
  const zeros = tree.extents(resolvePath(tree, 'zeros')!)
  t.alike(
    zeros.map(({ position, count }) => [position, count]),
    [
      [0, 1],
      [1, 1],
      [2, 1]
    ],
    'three times the one chunk of zeros'
  )

  const reader = store.reader(tree)
  const fd = openSync(join(source.path, 'sparse'), 'r')
  t.teardown(() => closeSync(fd))
  t.is(fstatSync(fd).size, SPARSE_BYTES)
  for (const [offset, length] of [
    [0, 30],
    [9, 1],
    [CHUNK_BYTES - 1, 5],
    [99 * CHUNK_BYTES, 5 * CHUNK_BYTES],
    [100 * CHUNK_BYTES + 3, 70_000],
    [SPARSE_BYTES - 10, 10],
    [SPARSE_BYTES - 2, 100],
    [SPARSE_BYTES, 5]
  ] as const) {
    const expected = Buffer.alloc(length)
    const bytes = readSync(fd, expected, 0, length, offset)
    const content = await readFileRange(tree, reader, sparse, offset, length)
    t.ok(content.equals(expected.subarray(0, bytes)), `${length} bytes at ${offset}`)
  }
})

void test('equal chunks are stored once', async (t) => {
  const source = temporaryDirectory()
  t.teardown(source.remove)
  const content = noise(20 * CHUNK_BYTES)
  for (const name of ['a', 'b', 'c']) writeFileSync(join(source.path, name), content)
  const store = new MemoryStore()
  const { tree, manifest } = await publish(source.path, store)
  t.is(manifest.chunks, 20)
  t.is(manifest.storedBytes, content.length)
  t.is(manifest.bytes, 3 * content.length)
  t.alike(tree.extents(resolvePath(tree, 'c')!), [{ position: 0, chunk: 0, count: 20 }])
})

void test('a new version stores what is new and continues the history', async (t) => {
  const source = temporaryDirectory()
  t.teardown(source.remove)
  const content = noise(40 * CHUNK_BYTES)
  writeFileSync(join(source.path, 'big'), content)
  writeFileSync(join(source.path, 'old'), noise(5000))
  const store = new MemoryStore()
  const first = await publish(source.path, store, { message: 'first' })

  content.fill(1, 7 * CHUNK_BYTES, 8 * CHUNK_BYTES)
  writeFileSync(join(source.path, 'big'), content)
  rmSync(join(source.path, 'old'))
  writeFileSync(join(source.path, 'new'), 'new')
  const { manifest } = first
  const previous = await previousOf(store, first)
  const before = store.blocks.length
  const second = await publish(source.path, store, {
    previous,
    previousManifest: manifest,
    message: 'second'
  })
  t.is(second.manifest.version, 2)
  t.alike(
    second.manifest.versions.map(({ version, message }) => [version, message]),
    [
      [1, 'first'],
      [2, 'second']
    ]
  )
  const chunkBlocks = [...second.tree.chunks.block].filter((block) => block >= before)
  t.is(chunkBlocks.length, 2, 'the changed chunk and the new file')
  t.is(second.manifest.chunks, 41)
  const added = store.blocks.slice(before, -1).reduce((sum, block) => sum + block.length, 0)
  t.is(second.manifest.versions[1]?.newBytes, added)
  const big = resolvePath(second.tree, 'big')!
  const read = await readFileRange(second.tree, store.reader(second.tree), big, 0, content.length)
  t.ok(read.equals(content))
  const firstBig = resolvePath(first.tree, 'big')!
  const original = noise(40 * CHUNK_BYTES)
  const old = await readFileRange(first.tree, store.reader(first.tree), firstBig, 0, 1e9)
  t.ok(old.equals(original), 'the first version reads as before')

  const both = await previousOf(store, second)
  t.is(second.manifest.chunkHashes.base?.block, manifest.chunkHashes.block, 'only what is new')
  t.ok(second.manifest.chunkHashes.storedBytes < 100)
  t.is(both.chunkHashes.hashes.length, 41 * 16)

  const third = await publish(source.path, store, {
    previous: both,
    previousManifest: second.manifest
  })
  t.is(third.manifest.versions[2]?.newBytes, 0, 'nothing changed, nothing was appended')
  t.alike(third.manifest.chunkHashes, second.manifest.chunkHashes)
  t.alike(third.manifest.index, second.manifest.index)

  const hashes = previous.chunkHashes.hashes.subarray(16)
  const wrong = { ...previous, chunkHashes: { ...previous.chunkHashes, hashes } }
  const { code } = await refusal(() => publish(source.path, store, { previous: wrong }))
  t.is(code, 'BAD_INDEX')
})

void test('the history of versions has an end, by number and by size', async (t) => {
  const source = temporaryDirectory()
  t.teardown(source.remove)
  writeFileSync(join(source.path, 'file'), 'content')
  const store = new MemoryStore()
  let { manifest } = await publish(source.path, store)
  const record = manifest.versions[0]!
  const oldest = 5_000
  const after = async (count: number, message: string): Promise<Manifest> => {
    const versions = Array.from({ length: count }, (_, n) => ({
      ...record,
      version: oldest + n,
      blocks: record.blocks + n,
      message
    }))
    for (let n = 0; n < count; n++) store.blocks.push(Buffer.from('a block'))
    const previousManifest = { ...manifest, version: oldest + count - 1, versions }
    manifest = (await publish(source.path, store, { previousManifest })).manifest
    return manifest
  }
  const many = await after(4096, 'short')
  t.is(many.version, oldest + 4096)
  t.is(many.versions.length, 64)
  const wordy = await after(64, '€'.repeat(4096))
  t.ok(wordy.versions.length > 10 && wordy.versions.length < 20)
  t.ok(encodeManifest(wordy).length < 256 * 1024)
})

void test('many files, with few threads', async (t) => {
  const source = temporaryDirectory()
  t.teardown(source.remove)
  for (let i = 0; i < 1500; i++) writeFileSync(join(source.path, `file-${i}`), `content ${i % 700}`)
  const store = new MemoryStore()
  const seen: number[] = []
  const { tree, manifest } = await publish(source.path, store, {
    threads: 1,
    onProgress: (progress) => seen.push(progress.files)
  })
  t.is(manifest.files, 1500)
  t.is(manifest.chunks, 700)
  t.is(seen.at(-1), 1500)
  t.alike(
    seen,
    [...seen].sort((a, b) => a - b),
    'progress goes forward'
  )
  const reader = store.reader(tree)
  let right = 0
  for (let i = 0; i < 1500; i++) {
    const inode = resolvePath(tree, `file-${i}`)!
    const content = await readFileRange(tree, reader, inode, 0, 100)
    if (content.toString() === `content ${i % 700}`) right++
  }
  t.is(right, 1500)
})

void test('an empty directory is an image too', async (t) => {
  const source = temporaryDirectory()
  t.teardown(source.remove)
  const store = new MemoryStore()
  const { tree, manifest } = await publish(source.path, store, { arch: 'riscv64' })
  t.is(tree.inodeCount, 1)
  t.is(manifest.chunks, 0)
  t.is(manifest.arch, 'riscv64')
})

void test('what is excluded stays out', async (t) => {
  const source = temporaryDirectory()
  t.teardown(source.remove)
  mkdirSync(join(source.path, 'var/cache/apt'), { recursive: true })
  mkdirSync(join(source.path, 'tmp/x'), { recursive: true })
  writeFileSync(join(source.path, 'secret'), 'x')
  const scanned = await scanDirectory(source.path, { exclude: ['/var/cache/*', 'tmp/', 'secret'] })
  const { tree } = await writeVersion(scanned, new MemoryStore(), { name: 'test' })
  t.alike(
    [...walk(tree)].map(({ path }) => path.toString()),
    ['', 'var', 'var/cache']
  )
})

void test('sources that are none are refused', async (t) => {
  const source = temporaryDirectory()
  t.teardown(source.remove)
  const file = join(source.path, 'file')
  writeFileSync(file, '')
  t.is((await refusal(() => scanDirectory(join(source.path, 'none')))).code, 'NOT_FOUND')
  t.is((await refusal(() => scanDirectory(join(file, 'below')))).code, 'NOT_FOUND')
  t.is((await refusal(() => scanDirectory(file))).code, 'BAD_SOURCE')
})

void test('a source that changes after it was scanned is refused by name', async (t) => {
  const changes: Record<string, (path: string) => void> = {
    grew: (path) => appendFileSync(path, 'x'),
    'was rewritten': (path) => writeFileSync(path, noise(100_000, 2)),
    vanished: (path) => rmSync(path),
    'was replaced': (path) => {
      writeFileSync(`${path}.new`, noise(100_000))
      renameSync(`${path}.new`, path)
    }
  }
  for (const [name, change] of Object.entries(changes)) {
    const source = temporaryDirectory()
    t.teardown(source.remove)
    for (const file of ['before', 'victim', 'z-after']) {
      writeFileSync(join(source.path, file), noise(100_000))
    }
    const scanned = await scanDirectory(source.path)
    change(join(source.path, 'victim'))
    const { code, text } = await refusal(() =>
      writeVersion(scanned, new MemoryStore(), { name: 'test' })
    )
    t.is(code, 'SOURCE_CHANGED', name)
    t.ok(text.includes('victim'))
  }
})

void test('a file that grows while it is read is refused', async (t) => {
  const source = temporaryDirectory()
  t.teardown(source.remove)
  const path = join(source.path, 'log')
  writeFileSync(path, noise(64 * 1024 * 1024, 9))
  const scanned = await scanDirectory(source.path)
  // The reader is some batches ahead of the sink and then waits, in the middle of this file.
  const store = new MemoryStore()
  const sink = {
    append: async (blocks: readonly Uint8Array[]): Promise<number> => {
      appendFileSync(path, 'x')
      return await store.append(blocks)
    }
  }
  t.is((await refusal(() => writeVersion(scanned, sink, { name: 'x' }))).code, 'SOURCE_CHANGED')
})

void test('publishing can be cancelled, and a failing sink fails it', async (t) => {
  const source = temporaryDirectory()
  t.teardown(source.remove)
  writeFileSync(join(source.path, 'big'), noise(32 * 1024 * 1024, 9))
  const aborted = { signal: AbortSignal.abort() }
  t.is((await refusal(() => scanDirectory(source.path, aborted))).code, 'CANCELLED')

  const controller = new AbortController()
  const store = new MemoryStore()
  const { code } = await refusal(() =>
    publish(source.path, store, {
      signal: controller.signal,
      onProgress: () => controller.abort()
    })
  )
  t.is(code, 'CANCELLED')
  const appended = store.blocks.length
  await new Promise((resolve) => setTimeout(resolve, 50))
  t.is(store.blocks.length, appended, 'nothing is appended afterwards')

  const full = { append: async () => Promise.reject(new Error('disk full')) }
  const scanned = await scanDirectory(source.path)
  await t.exception(writeVersion(scanned, full, { name: 'x' }), /disk full/)
})
