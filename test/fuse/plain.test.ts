import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'brittle'
import { unmountStale } from '../../src/fuse/stale-mounts.ts'
import { filesystemContract } from './filesystem-contract.ts'
import { leftovers } from './leftovers.ts'
import { BIG_DIRECTORY_ENTRIES, plantDirectory } from './planted-directory.ts'
import { ServedImage } from './served-image.ts'

async function planted(
  t: { teardown(work: () => Promise<void>): void },
  bigEntries: number
): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'dat-container-planted-'))
  t.teardown(async () => rm(directory, { recursive: true, force: true }))
  await plantDirectory(directory, bigEntries)
  return directory
}

void test('a plain FUSE tree holds the filesystem contract', { timeout: 180_000 }, async (t) => {
  const source = await planted(t, BIG_DIRECTORY_ENTRIES)
  const image = await ServedImage.start(source, 'fuse')
  t.is(image.mode, 'fuse')
  await filesystemContract(t, image.rootfs, source, {
    exactTimes: false,
    byteNames: false,
    holes: false
  })
  const { directory } = image
  await image[Symbol.asyncDispose]()
  t.alike(await leftovers(directory), [], 'no mount remains')
})

void test('a plain tree: a read that fails is EIO, and works when tried again', async (t) => {
  const source = await planted(t, 10)
  await using image = await ServedImage.start(source, 'fuse')
  const path = join(image.rootfs, 'files/size-1000003')
  await image.command('failing')
  await t.exception(readFile(path), /EIO/)
  await image.command('working')
  t.ok((await readFile(path)).equals(await readFile(join(source, 'files/size-1000003'))))
})

void test('a plain tree of a killed server is swept', async (t) => {
  const source = await planted(t, 10)
  const image = await ServedImage.start(source, 'fuse')
  await image.kill()
  t.not((await leftovers(image.directory)).length, 0)
  await unmountStale(image.directory)
  t.alike(await leftovers(image.directory), [])
  await rm(image.directory, { recursive: true })
})
