import { randomBytes } from 'node:crypto'
import { readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'brittle'
import { planDataLayout } from '../../../src/fuse/content/data-layout.ts'
import { deviceRanges } from '../../../src/fuse/content/device-ranges.ts'
import { unmountStale } from '../../../src/fuse/linux/stale-mounts.ts'
import { CHUNK_BYTES } from '../../../src/image/tree/tree.ts'
import { leftovers } from '../leftovers.ts'
import { ownDirectory } from '../planted-directory.ts'
import { scanDirectory } from '../scanned-image.ts'
import { ServedImage } from '../served-image.ts'

interface Source {
  readonly path: string
  readonly contents: ReadonlyMap<string, Buffer>
}

async function plantSource(t: { teardown(work: () => Promise<void>): void }): Promise<Source> {
  const path = await ownDirectory(t, 'preload')
  const contents = new Map<string, Buffer>()
  for (const [n, bytes] of [1, 4096, 5000, CHUNK_BYTES, 9 * CHUNK_BYTES + 17].entries()) {
    contents.set(`file-${n}`, randomBytes(bytes))
  }
  for (const [name, content] of contents) await writeFile(join(path, name), content)
  await writeFile(join(path, 'holes'), randomBytes(100))
  await truncate(join(path, 'holes'), 5 * CHUNK_BYTES)
  return { path, contents }
}

/** Its content does not come, and the kernel has asked for some. */
async function waitingForContent({ path }: Source): Promise<ServedImage> {
  const image = await ServedImage.start(path, 'erofs')
  await image.command('silent')
  await image.command('preload')
  while ((await image.command('reads')).reads === 0) await sleep(10)
  return image
}

void test('the kernel reads what it is told to before anybody needs it', async (t) => {
  const source = await plantSource(t)
  await using image = await ServedImage.start(source.path, 'erofs')
  await image.command('preload')
  let counts = await image.command('reads')
  while (counts.reads < counts.chunks) {
    await sleep(10)
    counts = await image.command('reads')
  }
  t.is(counts.reads, counts.chunks, 'each chunk once')
  for (const [name, content] of source.contents) {
    t.alike(await readFile(join(image.rootfs, name)), content, name)
  }
})

void test('a mount goes while the kernel still reads ahead', async (t) => {
  const image = await waitingForContent(await plantSource(t))
  const { directory } = image
  await image[Symbol.asyncDispose]()
  t.alike(await leftovers(directory), [])
})

void test('a process that is killed while the kernel still reads ahead is gone', async (t) => {
  const image = await waitingForContent(await plantSource(t))
  await image.kill()
  await unmountStale(image.directory)
  t.alike(await leftovers(image.directory), [])
  await rm(image.directory, { recursive: true })
})

void test('ranges of the device hold chunks in the order asked for, and join what lies side by side', async (t) => {
  const { path, contents } = await plantSource(t)
  const { tree, chunks } = scanDirectory(path)
  const layout = planDataLayout(tree)
  const all = [...chunks.contents.keys()]
  const ranges = deviceRanges(tree, layout, all)
  const total = [...contents.values()].reduce((sum, { length }) => sum + length, 0)
  t.is(
    ranges.reduce((sum, { bytes }) => sum + bytes, 0),
    total + CHUNK_BYTES,
    'no hole but within the chunk'
  )
  t.ok(ranges.length < all.length)
  t.alike(deviceRanges(tree, layout, [all.length + 7]), [], 'what no file has is nowhere')
  const reversed = deviceRanges(tree, layout, all.toReversed())
  t.is(reversed.length, all.length)
})
