import { execFileSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync
} from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'brittle'
import type { Manifest } from '../../src/image/format/manifest.ts'
import type { Shared } from './results.ts'
import { LONG, Sandbox, type Machine } from './sandbox.ts'
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

  // The same size and its old time: only the inode's change tells.
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

interface Gc {
  readonly dryRun: boolean
  readonly bytes: number
  readonly images: readonly {
    readonly kept: readonly number[]
    readonly freed: readonly number[]
    readonly blocks: number
    readonly bytes: number
  }[]
}

test('an update knows the attributes of files that it does not read', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const machine = await sandbox.machine('publisher')
  const source = tinyRootfs(join(sandbox.directory, 'source'))
  const attribute = (name: string, value: string, ...files: string[]): void => {
    for (const file of files) {
      execFileSync('setfattr', ['-n', `user.${name}`, '-v', value, join(source, file)])
    }
  }
  writeFileSync(join(source, 'etc/motd'), 'one')
  writeFileSync(join(source, 'etc/hosts'), 'two')
  attribute('kind', 'old', 'etc', 'etc/motd', 'etc/hosts')
  await sleep(RACY_MS)
  const { link } = await machine.json<Shared>('share', source, '--name', 'tiny')
  t.is((await machine.json<Shared>('share', source, '--update', link)).filesRead, 0)
  attribute('kind', 'new', 'etc', 'etc/hosts')
  const third = await machine.json<Shared>('share', source, '--update', link)
  t.is(third.filesRead, 1, 'an attribute is a change, too')
  const read = await machine.json<Shared>('share', source, '--update', link, '--checksum')
  t.ok(read.filesRead > 1)
  const attributesOf = async (version: number): Promise<string> => {
    const archive = join(sandbox.directory, `${version}.tar`)
    const target = join(sandbox.directory, `version-${version}`)
    mkdirSync(target)
    await machine.ok('export', `tiny@${version}`, 'tar', archive)
    execFileSync('tar', ['-C', target, '--xattrs', '-xf', archive])
    const options = { cwd: target, encoding: 'utf8' } as const
    return execFileSync('getfattr', ['-n', 'user.kind', 'etc', 'etc/motd', 'etc/hosts'], options)
  }
  const values = async (version: number): Promise<string[]> =>
    [...(await attributesOf(version)).matchAll(/user\.kind="(.*)"/g)].map(([, value]) => value!)
  t.alike(await values(1), ['old', 'old', 'old'])
  t.alike(await values(2), ['old', 'old', 'old'], 'taken over')
  t.alike(await values(3), ['new', 'old', 'new'])
  t.alike(await values(4), ['new', 'old', 'new'], 'all of them read')
})

test('old versions are listed, read, compared and freed', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const owner = await sandbox.machine('owner')
  const reader = await sandbox.machine('reader')
  const source = tinyRootfs(join(sandbox.directory, 'source'))
  const large = join(source, 'large')
  const contents = Array.from({ length: 3 }, () => randomBytes(1024 * 1024))
  const publish = async (n: number, ...more: string[]): Promise<Shared> => {
    writeFileSync(large, contents[n - 1] ?? '')
    return owner.json<Shared>('share', source, '--message', `the ${n}.`, ...more)
  }
  const { link } = await publish(1, '--name', 'tiny')
  await publish(2, '--update', link)
  await publish(3, '--update', link)
  const of = (version: number): string => link.replace('#', `@${version}#`)

  const { versions } = await reader.json<Manifest>('info', link)
  t.alike(
    versions.map(({ version, message }) => [version, message]),
    [1, 2, 3].map((n) => [n, `the ${n}.`])
  )
  t.ok(versions.every(({ created, bytes }) => Date.parse(created) > 0 && bytes > 1024 * 1024))
  const sum = async (machine: Machine, n: number, ...more: string[]): Promise<string> => {
    const ran = await machine.start(['cat', of(n), '/large', ...more], { encoding: 'buffer' })
    return ran.exitCode === 0 ? digest(ran.stdout as unknown as Uint8Array) : String(ran.stderr)
  }
  for (const n of [1, 2, 3]) t.is(await sum(reader, n), digest(contents[n - 1] ?? Buffer.alloc(0)))
  const compared = await reader.run('diff', of(1), of(2))
  t.ok(/^~ .large /m.test(compared.stdout), compared.stdout)
  const argv = ['--ephemeral', '--', 'cat', '/etc/os-release']
  t.is((await reader.run('boot', of(1), ...argv)).stdout.trim(), 'ID=tiny', 'an old one boots')

  // A container's version stays, though it is not running.
  await reader.ok('boot', of(2), '-n', 'second', '-d', '--', 'true')
  await unmounted(sandbox.directory)
  const planned = await reader.json<Gc>('gc', '--old-versions', '--dry-run')
  t.alike([planned.images[0]?.kept, planned.images[0]?.freed], [[2, 3], [1]])
  t.ok(planned.bytes >= 1024 * 1024 && planned.bytes < 1.2 * 1024 * 1024, `${planned.bytes} bytes`)
  t.is(await sum(reader, 1, '--offline'), digest(contents[0] ?? Buffer.alloc(0)), 'still here')
  const freed = await reader.json<Gc>('gc', '--old-versions', 'tiny')
  t.is(freed.bytes, planned.bytes)
  t.is((await reader.json<Gc>('gc', '--old-versions')).bytes, 0, 'once is enough')
  await reader.ok('rm', '--force', 'second')
  await unmounted(sandbox.directory)
  t.ok((await reader.json<Gc>('gc', '--old-versions', '--keep', '2')).bytes === 0)
  t.ok((await reader.json<Gc>('gc', '--old-versions')).bytes >= 1024 * 1024)
  await reader.ok('pull', link)
  await reader.ok('verify', link, '--offline')
  t.is(await sum(reader, 1), digest(contents[0] ?? Buffer.alloc(0)), 'the owner still has it')

  await owner.ok('gc', '--old-versions')
  await owner.ok('verify', 'tiny', '--offline')
  await reader.ok('daemon', 'stop')
  const gone = await owner.run('boot', of(1), '--peer-timeout', '1s', ...argv)
  t.unlike(gone.exitCode, 0)
  t.ok(gone.stderr.includes('version 1 is not on this machine'), gone.stderr)
  await owner.ok('daemon', 'stop')
  t.is(await sum(owner, 3), digest(contents[2] ?? Buffer.alloc(0)), 'also after a restart')
  await publish(2, '--update', link)
  await owner.ok('verify', 'tiny')
})

/** A mount stays a moment after its last use, and keeps its version as long. */
async function unmounted(directory: string): Promise<void> {
  while (readFileSync('/proc/self/mountinfo', 'utf8').includes(directory)) await sleep(50)
}

function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
