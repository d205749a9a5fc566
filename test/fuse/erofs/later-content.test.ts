import { mkdtemp, readdir, readFile, readlink, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'brittle'
import { planDataLayout } from '../../../src/fuse/content/data-layout.ts'
import { writeErofsImage } from '../../../src/fuse/erofs/erofs-image.ts'
import { keepMetadata } from '../../../src/fuse/erofs/kept-metadata.ts'
import { leftovers } from '../leftovers.ts'
import { ownDirectory } from '../planted-directory.ts'
import { scanDirectory } from '../scanned-image.ts'
import { ServedImage } from '../served-image.ts'

const LETTER = 'dear reader\n'

interface Kept {
  readonly source: string
  readonly kept: string
}

/** A directory, and its metadata image as a mount before would have left it. */
async function keptImage(t: { teardown(work: () => Promise<void>): void }): Promise<Kept> {
  const parent = await ownDirectory(t, 'later')
  const source = await mkdtemp(join(parent, 'source-'))
  await writeFile(join(source, 'letter'), LETTER)
  await symlink('letter', join(source, 'link'))
  const { tree } = scanDirectory(source)
  await writeErofsImage(tree, planDataLayout(tree), join(parent, 'made'))
  const kept = join(parent, 'kept')
  await keepMetadata(join(parent, 'made'), kept)
  return { source, kept }
}

function mountKept({ source, kept }: Kept): Promise<ServedImage> {
  return ServedImage.start(source, 'erofs', 'auto', tmpdir(), kept)
}

void test('with kept metadata names are there before content is, and reads wait for it', async (t) => {
  await using image = await mountKept(await keptImage(t))
  t.alike((await readdir(image.rootfs)).sort(), ['letter', 'link'])
  t.is(await readlink(join(image.rootfs, 'link')), 'letter')
  t.is((await stat(join(image.rootfs, 'letter'))).size, LETTER.length)
  const reading = readFile(join(image.rootfs, 'link'), 'utf8')
  t.is(await Promise.race([reading, sleep(300, 'waits')]), 'waits')
  await image.command('serve')
  t.is(await reading, LETTER)
})

void test('reads that wait for content fail when the mount goes', async (t) => {
  const image = await mountKept(await keptImage(t))
  const reading = readFile(join(image.rootfs, 'letter'))
  reading.catch(() => {})
  await sleep(100)
  const { directory } = image
  await image[Symbol.asyncDispose]()
  await t.exception(reading, /EIO/)
  t.alike(await leftovers(directory), [])
})

void test('metadata that describes another device gives no content', async (t) => {
  const image = await keptImage(t)
  await writeFile(join(image.source, 'another'), Buffer.alloc(1_000_000, 'x'))
  await using mounted = await mountKept(image)
  await mounted.command('serve')
  await t.exception(readFile(join(mounted.rootfs, 'letter')), /EIO/)
})
