import { execFile } from 'node:child_process'
import { closeSync, openSync, readSync, statSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import test from 'brittle'
import { execa } from 'execa'
import { unmountStale } from '../../../src/fuse/linux/stale-mounts.ts'
import { checkFailingRead, filesystemContract, hashEverything } from '../filesystem-contract.ts'
import { leftovers } from '../leftovers.ts'
import { BIG_DIRECTORY_ENTRIES, CHUNK, plantedDirectory } from '../planted-directory.ts'
import { ServedImage } from '../served-image.ts'

void test('a plain FUSE tree holds the filesystem contract', { timeout: 180_000 }, async (t) => {
  const source = await plantedDirectory(t, BIG_DIRECTORY_ENTRIES)
  const image = await ServedImage.start(source, 'fuse')
  t.is(image.mode, 'fuse')
  await filesystemContract(t, image.rootfs, source)
  const sparse = statSync(join(image.rootfs, 'sparse'))
  t.ok(sparse.blocks * 512 < sparse.size, 'a sparse file takes fewer blocks than its size')
  const { directory } = image
  await image[Symbol.asyncDispose]()
  t.alike(await leftovers(directory), [], 'no mount remains')
})

void test('a plain tree: a read that fails is EIO, and works when tried again', async (t) => {
  const source = await plantedDirectory(t, 10)
  await using image = await ServedImage.start(source, 'fuse')
  await checkFailingRead(t, image, source)
})

void test('a plain tree: what was read or listed once is not asked for again', async (t) => {
  const source = await plantedDirectory(t, 1000)
  await using image = await ServedImage.start(source, 'fuse')
  const first = hashEverything(image.rootfs)
  await image.command('forget')
  t.is(hashEverything(image.rootfs), first)
  t.is((await image.command('reads')).reads, 0)
})

void test('a plain tree: taking it down fails the reads that wait', async (t) => {
  const source = await plantedDirectory(t, 10)
  const image = await ServedImage.start(source, 'fuse')
  const read = await waitingRead(image, `files/size-${CHUNK}`, 'cat')
  const { directory } = image
  await image[Symbol.asyncDispose]()
  t.ok(/Input\/output error/.test((await read.ended).stderr))
  t.alike(await leftovers(directory), [])
})

void test('a plain tree: a read that waits for content can be killed', async (t) => {
  const source = await plantedDirectory(t, 10)
  await using image = await ServedImage.start(source, 'fuse')
  // Each reads another file: what was asked for before is on its way.
  const table = [
    [CHUNK, 'cat', 'SIGTERM'],
    [CHUNK + 1, 'cat', 'SIGKILL'],
    [3 * CHUNK, 'direct', 'SIGTERM'],
    [1_000_003, 'direct', 'SIGKILL']
  ] as const
  for (const [size, program, signal] of table) {
    const read = await waitingRead(image, `files/size-${size}`, program)
    read.kill(signal)
    t.is((await read.ended).signal, signal, `${program}, ${signal}`)
  }
})

void test('a plain tree: a signal that is handled does not end a read', async (t) => {
  const source = await plantedDirectory(t, 10)
  await using image = await ServedImage.start(source, 'fuse')
  const read = await waitingRead(image, `files/size-${CHUNK}`, 'handling')
  read.kill('SIGUSR2')
  await sleep(500)
  await image.command('working')
  t.is((await read.ended).stdout, `${CHUNK} bytes`)
})

/** Node.js does not read again after EINTR, which dd would. */
const HANDLING_READ = `
  const { openSync, readSync, constants } = require('fs')
  process.on('SIGUSR2', () => {})
  const file = openSync(process.argv[1], constants.O_RDONLY | constants.O_DIRECT)
  console.log(readSync(file, Buffer.alloc(${CHUNK}), 0, ${CHUNK}, 0), 'bytes')
`

const PROGRAMS = {
  cat: (path: string) => ['cat', path] as const,
  direct: (path: string) => ['dd', `if=${path}`, 'iflag=direct', 'bs=64k', 'of=/dev/null'] as const,
  handling: (path: string) => [process.execPath, '-e', HANDLING_READ, path] as const
}

/** Starts a program that reads a file, through the page cache or past it, and waits until that waits. */
async function waitingRead(image: ServedImage, name: string, program: keyof typeof PROGRAMS) {
  await image.command('silent')
  await image.command('forget')
  const [file, ...args] = PROGRAMS[program](join(image.rootfs, name))
  const running = execa(file, args, { reject: false })
  while ((await image.command('reads')).reads === 0) await sleep(10)
  return { ended: Promise.resolve(running), kill: (signal: NodeJS.Signals) => running.kill(signal) }
}

void test('a plain tree does not keep its server from ending', async (t) => {
  const source = await plantedDirectory(t, 10)
  const image = await ServedImage.start(source, 'fuse')
  await image.exit()
  t.exception(() => statSync(join(image.rootfs, 'files')), /ENOTCONN/, 'what is left is dead')
  await unmountStale(image.directory)
  t.alike(await leftovers(image.directory), [])
  await rm(image.directory, { recursive: true })
})

void test('a plain tree that is unmounted by hand is none to its server', async (t) => {
  const source = await plantedDirectory(t, 10)
  const image = await ServedImage.start(source, 'fuse')
  await promisify(execFile)('umount', [image.rootfs])
  const { directory } = image
  await image[Symbol.asyncDispose]()
  t.alike(await leftovers(directory), [])
})

void test('a plain tree in use goes with its server', async (t) => {
  const source = await plantedDirectory(t, 10)
  const image = await ServedImage.start(source, 'fuse')
  const file = openSync(join(image.rootfs, 'files/size-1'), 'r')
  const { directory } = image
  await image[Symbol.asyncDispose]()
  t.alike(await leftovers(directory), [])
  t.exception(() => readSync(file, Buffer.alloc(1)), /ENOTCONN/)
  t.exception(() => closeSync(file), /ENOTCONN/)
})

void test('a plain tree of a killed server is swept', async (t) => {
  const source = await plantedDirectory(t, 10)
  const image = await ServedImage.start(source, 'fuse')
  await image.kill()
  t.not((await leftovers(image.directory)).length, 0)
  await unmountStale(image.directory)
  t.alike(await leftovers(image.directory), [])
  await rm(image.directory, { recursive: true })
})
