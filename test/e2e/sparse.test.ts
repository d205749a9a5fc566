import { closeSync, mkdirSync, mkdtempSync, openSync, statSync, truncateSync } from 'node:fs'
import { writeSync } from 'node:fs'
import { join } from 'node:path'
import test from 'brittle'
import { dataRanges } from '../../src/image/source/sparse.ts'
import { LONG, Sandbox } from './sandbox.ts'
import { tinyRootfs } from './tiny-rootfs.ts'

const TERABYTE = 10 ** 12
const SIZE = 5 * TERABYTE
const PLACES = [0, 1_000_000, 3 * TERABYTE, SIZE - 4]
/** All pieces of data and what a copy or an archive adds; in units of stat(2). */
const MOST_BLOCKS = (64 * 1024 * 1024) / 512
const USE = `set -e
cp -a /huge /copy
stat -c '%s' /copy
test $(stat -c '%b' /copy) -lt ${MOST_BLOCKS} && echo few blocks
tail -c 4 /copy
tar --sparse -cf /archive.tar huge
test $(stat -c '%s' /archive.tar) -lt 10000000 && echo a small archive
echo more >> /huge
test $(stat -c '%b' /huge) -lt ${MOST_BLOCKS} && echo few blocks of what is written to
`

test('a huge sparse file takes what it holds, and is copied so', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const machine = await sandbox.machine('machine')
  const tools = ['cp', 'stat', 'tail', 'tar']
  const rootfs = tinyRootfs(mkdtempSync(join(sandbox.directory, 'tiny-')), tools)
  const huge = openSync(join(rootfs, 'huge'), 'w')
  for (const place of PLACES) writeSync(huge, 'data', place)
  closeSync(huge)
  truncateSync(join(rootfs, 'huge'), SIZE)
  await machine.ok('share', rootfs, '--name', 'sparse')

  for (const ids of [[], ['--private-users', 'no']]) {
    const own = ['--', '/bin/sh', '-c', USE]
    const shown = await machine.ok('boot', 'sparse', '--ephemeral', ...ids, ...own)
    const expected = [SIZE, 'few blocks', 'dataa small archive', 'few blocks of what is written to']
    t.is(shown, expected.join('\n'), ids.join(' '))
  }
  const directory = join(sandbox.directory, 'mounted')
  mkdirSync(directory)
  const path = join(directory, 'huge')
  // The second time, where a metadata image would have been kept.
  for (const mount of [[], [], ['--mount', 'fuse']]) {
    await machine.ok('mount', 'sparse', directory, ...mount)
    t.ok(statSync(path).blocks < MOST_BLOCKS, `${mount.join(' ')} ${statSync(path).blocks} blocks`)
    await machine.ok('umount', directory)
  }
  await machine.ok('mount', 'sparse', directory, '--mount', 'erofs')
  t.is(statSync(path).size, SIZE)
  const file = openSync(path, 'r')
  const ranges = [...dataRanges(file, SIZE)]
  closeSync(file)
  t.ok(
    PLACES.every((place) => ranges.some(({ start, end }) => start <= place && place < end)),
    'EROFS tells where the data is'
  )
  t.ok(ranges.reduce((sum, { start, end }) => sum + end - start, 0) < 10 ** 8, 'and its holes')
  await machine.ok('umount', directory)
})
