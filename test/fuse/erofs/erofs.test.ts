import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import test from 'brittle'
import { listLoopDevices } from '../../../src/fuse/linux/loop-device.ts'
import { unmountStale } from '../../../src/fuse/linux/stale-mounts.ts'
import { checkFailingRead, filesystemContract, hashEverything } from '../filesystem-contract.ts'
import { leftovers } from '../leftovers.ts'
import { BIG_DIRECTORY_ENTRIES, plantedDirectory } from '../planted-directory.ts'
import { ServedImage } from '../served-image.ts'

void test('EROFS holds the filesystem contract', { timeout: 240_000 }, async (t) => {
  const source = await plantedDirectory(t, BIG_DIRECTORY_ENTRIES)
  for (const backing of ['file', 'loop'] as const) {
    const image = await ServedImage.start(source, 'auto', backing)
    t.is(image.mode, 'erofs', `over ${backing}s`)
    await filesystemContract(t, image.rootfs, source)
    if (backing === 'file') await checkFormat(t, image.directory)
    const { directory } = image
    await image[Symbol.asyncDispose]()
    t.alike(await leftovers(directory), [], 'no mount or loop device remains')
  }
})

/** What erofs-utils thinks of the image. */
async function checkFormat(
  t: { pass(message: string): void; fail(message: string): void },
  directory: string
): Promise<void> {
  const device = `--device=${join(directory, 'data/data')}`
  await promisify(execFile)('fsck.erofs', [device, join(directory, 'meta.erofs')]).then(
    () => t.pass('fsck.erofs finds no fault'),
    (error: { stderr: string; stdout: string }) => t.fail(`${error.stderr}${error.stdout}`)
  )
}

void test('what was read once is not read again', async (t) => {
  const source = await plantedDirectory(t, 10)
  await using image = await ServedImage.start(source, 'erofs')
  const first = hashEverything(image.rootfs)
  const { reads, chunks } = await image.command('forget')
  t.is(reads, 0)
  t.is(hashEverything(image.rootfs), first)
  const again = await image.command('reads')
  t.is(again.reads, 0, `of ${chunks} chunks none reaches the reader a second time`)
})

void test('a metadata image on tmpfs is mounted through a loop device', async (t) => {
  const source = await plantedDirectory(t, 10)
  await using image = await ServedImage.start(source, 'erofs', 'auto', '/dev/shm')
  t.is(image.mode, 'erofs')
  t.is(hashEverything(image.rootfs), hashEverything(source))
})

void test('a mount and a walk read no content', async (t) => {
  const source = await plantedDirectory(t, 10)
  await using image = await ServedImage.start(source, 'erofs')
  readdirSync(image.rootfs, { recursive: true })
  t.is((await image.command('reads')).reads, 0)
  readFileSync(join(image.rootfs, 'files/size-4095'))
  t.is((await image.command('reads')).reads, 1, 'a small file costs its own chunk alone')
})

void test('a read that fails is EIO, and works when tried again', async (t) => {
  const source = await plantedDirectory(t, 10)
  await using image = await ServedImage.start(source, 'erofs')
  await checkFailingRead(t, image, source)
})

void test('taking down a mount fails the reads that wait', async (t) => {
  const source = await plantedDirectory(t, 10)
  const image = await ServedImage.start(source, 'erofs')
  await image.command('silent')
  const read = promisify(execFile)('cat', [join(image.rootfs, 'files/size-4097')])
  const failed = t.exception(read, /Input\/output error/)
  while ((await image.command('reads')).reads === 0)
    await new Promise((done) => setTimeout(done, 10))
  const { directory } = image
  await image[Symbol.asyncDispose]()
  await failed
  t.alike(await leftovers(directory), [])
})

void test('what a killed server leaves is swept, more than once', async (t) => {
  const source = await plantedDirectory(t, 10)
  for (const backing of ['file', 'loop'] as const) {
    const image = await ServedImage.start(source, 'erofs', backing)
    hashEverything(image.rootfs)
    await image.kill()
    t.is(readFileSync(join(image.rootfs, 'xattrs/a')).toString(), 'a', 'what is cached still reads')
    t.not((await leftovers(image.directory)).length, 0, 'a killed server leaves mounts')
    const loops = await loopsOver(image.directory)
    t.is(loops.length, backing === 'loop' ? 2 : 0)
    await unmountStale(image.directory)
    await unmountStale(image.directory)
    const attached = (await listLoopDevices()).map((device) => device.path)
    t.absent(
      loops.some((device) => attached.includes(device)),
      'no loop device remains'
    )
    t.alike(await leftovers(image.directory), [])
    t.alike(await readdir(image.directory), [])
    await rm(image.directory, { recursive: true })
    await unmountStale(image.directory)
  }
})

async function loopsOver(directory: string): Promise<string[]> {
  const devices = await listLoopDevices()
  return devices
    .filter(({ backingFile }) => backingFile.startsWith(directory))
    .map((device) => device.path)
}
