import { randomBytes } from 'node:crypto'
import { cpSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'brittle'
import type { Shared, Stats } from './results.ts'
import { LONG, Sandbox } from './sandbox.ts'
import { treeDigest } from './tree-digest.ts'

const COMMON_FILES = 40
const FILE_BYTES = 100_000

/** Two trees of content that does not compress: the second has all of the first, and a tenth more. */
function twoTrees(directory: string): { first: string; second: string } {
  const first = join(directory, 'first')
  const second = join(directory, 'second')
  mkdirSync(first)
  for (let n = 0; n < COMMON_FILES; n++) {
    writeFileSync(join(first, `file-${n}`), randomBytes(FILE_BYTES))
  }
  cpSync(first, join(second, 'moved'), { recursive: true, preserveTimestamps: true })
  for (let n = 0; n < COMMON_FILES / 10; n++) {
    writeFileSync(join(second, `new-${n}`), randomBytes(FILE_BYTES))
  }
  return { first, second }
}

test(
  'content that another image here holds is not fetched again, where asked for',
  LONG,
  async (t) => {
    await using sandbox = await Sandbox.open()
    const publisher = await sandbox.machine('publisher')
    const reader = await sandbox.machine('reader')
    const { first, second } = twoTrees(sandbox.directory)
    const original = await treeDigest(second)
    const common = COMMON_FILES * FILE_BYTES

    const a = await publisher.json<Shared>('share', first, '--name', 'first')
    t.is(a.similar, null)
    const b = await publisher.json<Shared>('share', second, '--name', 'second')
    t.is(b.similar?.name, 'first', 'the publisher is told')
    t.is(b.similar?.commonBytes, common)
    t.is(b.similar?.commonChunks, COMMON_FILES * 2, 'two chunks a file')

    await reader.ok('pull', a.link)
    const pulled = await reader.json<Stats>('pull', b.link, '--reuse')
    t.ok(pulled.complete)
    t.is(pulled.reusedBytes, common)
    t.ok(pulled.fetchedBytes < pulled.imageBytes * 0.15, 'only what is new was fetched')
    t.comment(`${pulled.fetchedBytes} of ${pulled.imageBytes} bytes fetched`)

    await publisher.ok('daemon', 'stop')
    const mountPoint = join(sandbox.directory, 'mnt')
    mkdirSync(mountPoint)
    await reader.ok('mount', b.link, mountPoint, '--reuse', '--offline')
    t.alike(await treeDigest(mountPoint), original, 'whole and equal with nobody else there')
    await reader.ok('umount', mountPoint)

    await publisher.ok('daemon', 'start')
    await reader.ok('rmi', a.link)
    const alone = await reader.json<Stats>('pull', b.link, '--reuse')
    t.is(alone.reusedBytes, 0, 'with the other one gone')
    t.ok(alone.complete, 'it is fetched after all')
    t.is((await reader.run('verify', b.link)).exitCode, 0)
  }
)

test('nothing is taken from other images unless asked for', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const publisher = await sandbox.machine('publisher')
  const reader = await sandbox.machine('reader')
  const { first, second } = twoTrees(sandbox.directory)
  const a = await publisher.json<Shared>('share', first)
  const b = await publisher.json<Shared>('share', second)
  await reader.ok('pull', a.link)
  const pulled = await reader.json<Stats>('pull', b.link)
  t.is(pulled.reusedBytes, 0)
  t.ok(pulled.fetchedBytes > COMMON_FILES * FILE_BYTES)
})
