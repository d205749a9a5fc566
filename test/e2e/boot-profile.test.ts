import { randomBytes } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'brittle'
import { formatKey, parseFullLink } from '../../src/p2p/link.ts'
import { leftAfter, marksOf, snapshot } from '../boot/leftovers.ts'
import type { Shared, Stats } from './results.ts'
import { LONG, Sandbox, type Machine } from './sandbox.ts'
import { tinyRootfs } from './tiny-rootfs.ts'

interface Recorded {
  readonly version: number
  readonly ready: number
  readonly places: readonly (readonly [path: string, position: number, count: number])[]
}

function profilesOf(machine: Machine, link: string): Recorded[] {
  const directory = join(machine.home, 'profiles', formatKey(parseFullLink(link).key))
  if (!existsSync(directory)) return []
  return readdirSync(directory).map(
    (name) => JSON.parse(readFileSync(join(directory, name), 'utf8')) as Recorded
  )
}

/** A mount goes a moment after its last use. */
async function unmounted(directory: string): Promise<void> {
  while (readFileSync('/proc/self/mountinfo', 'utf8').includes(directory)) await sleep(50)
}

test('a recorded start is what the next one fetches first', LONG, async (t) => {
  const before = snapshot()
  let marks: readonly string[] = []
  {
    await using sandbox = await Sandbox.open()
    const publisher = await sandbox.machine('publisher')
    const source = tinyRootfs(join(sandbox.directory, 'source'))
    writeFileSync(join(source, 'touched'), randomBytes(200_000))
    writeFileSync(join(source, 'untouched'), randomBytes(200_000))
    const { link } = await publisher.json<Shared>('share', source, '--name', 'tiny')

    const reader = await sandbox.machine('reader')
    const command = ['--', 'cat', '/touched']
    const ran = await reader.run('boot', link, '--record', '--ephemeral', '--lazy-only', ...command)
    t.is(ran.exitCode, 0)
    t.ok(ran.stdout.length > 0)
    t.ok(/recorded \d+ chunks/.test(ran.stderr), ran.stderr)
    const [recorded] = profilesOf(reader, link)
    const paths = recorded?.places.map(([path]) => path) ?? []
    t.ok(paths.includes('touched') && paths.includes('usr/bin/cat'), paths.join(' '))
    t.ok(paths.some((path) => path.includes('libc.so')))
    t.absent(paths.includes('untouched'))
    const chunks = recorded?.places.filter(([path]) => path === 'touched')
    t.is(
      chunks?.reduce((sum, [, , count]) => sum + count, 0),
      4,
      'each chunk once'
    )

    await unmounted(sandbox.directory)
    const boot = ['boot', link, '--ephemeral', '-d', '-n', 'again']
    await reader.ok(...boot, '--', 'sh', '-c', 'cat /touched > /dev/null; sleep 60')
    t.is((await reader.json<Stats>('stats', 'again')).startOrder, 'guess', 'of another command')
    const busy = await reader.run('boot', link, '--record', '--ephemeral', ...command)
    t.is(busy.exitCode, 1, 'what is in use is not recorded')
    t.ok(busy.stderr.includes('is in use'), busy.stderr)
    await reader.ok('rm', '--force', 'again')
    await unmounted(sandbox.directory)
    t.is(profilesOf(reader, link).length, 2, 'the first run of the other command was kept too')
    await reader.ok(...boot, '--', 'sh', '-c', 'cat /touched > /dev/null; sleep 60')
    t.is((await reader.json<Stats>('stats', 'again')).startOrder, 'home')
    await reader.ok('rm', '--force', 'again')

    // A new version has its files elsewhere; the profile finds them.
    writeFileSync(join(source, 'a-new-file'), 'new')
    const update = await publisher.json<Shared>('share', source, '--update', link)
    await unmounted(sandbox.directory)
    marks = marksOf(sandbox)
    const newest = update.link.replace('#', '@2#')
    await reader.ok(
      ...['boot', newest, '-n', 'newest', '-d'],
      ...['--', 'sh', '-c', 'cat /touched > /dev/null; sleep 60']
    )
    t.is((await reader.json<Stats>('stats', 'newest')).startOrder, 'home', 'also of a new version')
    await reader.ok('rm', '--force', 'newest')
  }
  t.alike(await leftAfter(before, marks), [], 'nothing is left')
})

test('a recording that Ctrl-C ends is whole', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const machine = await sandbox.machine('only')
  const source = tinyRootfs(join(sandbox.directory, 'source'))
  const { link } = await machine.json<Shared>('share', source, '--name', 'tiny')
  const running = machine.start(
    [
      'boot',
      link,
      '--record',
      '--ephemeral',
      '--',
      'sh',
      '-c',
      'cat /etc/os-release; exec sleep 60'
    ],
    { buffer: true }
  )
  running.stdout?.once('data', () => running.kill('SIGINT'))
  const { exitCode } = await running
  t.is(exitCode, 130)
  const [recorded] = profilesOf(machine, link)
  const paths = recorded?.places.map(([path]) => path) ?? []
  t.ok(paths.includes('usr/bin/sleep') || paths.includes('usr/bin/cat'), paths.join(' '))
  t.is(profilesOf(machine, link).length, 1)
})
