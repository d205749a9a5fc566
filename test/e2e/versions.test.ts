import { execFileSync } from 'node:child_process'
import { readdirSync, statSync, truncateSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'brittle'
import type { Shared } from './results.ts'
import { LONG, Sandbox } from './sandbox.ts'
import { tinyRootfs } from './tiny-rootfs.ts'

/** Younger files are read again: their clock may hide a change. */
const RACY_MS = 2_500

test('an update reads only what changed, and never trusts what it cannot know', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const machine = await sandbox.machine('publisher')
  const source = tinyRootfs(join(sandbox.directory, 'source'))
  writeFileSync(join(source, 'etc/motd'), 'one')
  writeFileSync(join(source, 'etc/hosts'), 'same size')
  execFileSync('ln', [join(source, 'etc/motd'), join(source, 'etc/motd-too')])
  execFileSync('truncate', ['-s', '300K', join(source, 'sparse')])
  await sleep(RACY_MS)
  const first = await machine.json<Shared>('share', source, '--name', 'tiny')
  t.is(first.filesReused, 0)
  t.is(first.filesRead, first.files)
  const update = (...more: string[]): Promise<Shared> =>
    machine.json<Shared>('share', source, '--update', first.link, ...more)

  const same = await update()
  t.is(same.filesRead, 0, 'nothing was read')
  t.is(same.filesReused, first.files)
  t.is(same.newBytes, 0, 'nothing was stored but the manifest')
  await machine.ok('verify', 'tiny')
  t.is((await machine.run('diff', 'tiny@1', 'tiny@2')).stdout, '', 'they are the same')

  // Of the same size and with its old time: only the inode's change tells.
  const { atime, mtime } = statSync(join(source, 'etc/hosts'))
  writeFileSync(join(source, 'etc/hosts'), 'size same')
  utimesSync(join(source, 'etc/hosts'), atime, mtime)
  writeFileSync(join(source, 'etc/motd'), 'three')
  const third = await update('--message', 'another motd')
  t.is(third.filesRead, 2)
  t.is(await machine.ok('cat', 'tiny', '/etc/hosts'), 'size same')
  t.is(await machine.ok('cat', 'tiny', '/etc/motd-too'), 'three', 'a hardlink')
  t.is((await machine.ok('cat', 'tiny', '/sparse')).length, 300 * 1024)
  t.alike(
    (await machine.run('diff', 'tiny@1', 'tiny@3')).stdout
      .split('\n')
      .map((line) => line.split('  ')[0]),
    ['~ /etc/hosts', '~ /etc/motd', '~ /etc/motd-too']
  )

  const racy = await update()
  t.is(racy.filesRead, 2, 'what was as young as the last scan is read again')
  t.is((await update('--checksum')).filesRead, first.files, 'everything on demand')

  const cache = join(machine.home, 'publish-cache')
  const [file = ''] = readdirSync(cache)
  truncateSync(join(cache, file), 50)
  t.is((await update()).filesRead, first.files, 'a damaged record is none')
  const copy = join(sandbox.directory, 'copy')
  execFileSync('cp', ['-a', source, copy])
  const elsewhere = await machine.json<Shared>('share', copy, '--update', first.link)
  t.is(elsewhere.filesRead, first.files, 'nor is one of another directory')
  await machine.ok('verify', 'tiny')
})
