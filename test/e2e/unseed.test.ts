import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'brittle'
import type { Failure, Listed, Shared } from './results.ts'
import { LONG, Sandbox, type Machine } from './sandbox.ts'
import { tinyRootfs } from './tiny-rootfs.ts'

async function refusal(machine: Machine, ...args: string[]): Promise<string> {
  const ran = await machine.run('--json', ...args)
  if (ran.exitCode !== 1) return `ended with ${ran.exitCode}`
  const { code, message } = (JSON.parse(ran.stderr) as Failure).error
  return `${code}: ${message}`
}

test('an image is not given up by mistake', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const source = tinyRootfs(join(sandbox.directory, 'source'))
  const publisher = await sandbox.machine('publisher')
  const reader = await sandbox.machine('reader')
  const { link, mirrorLink } = await publisher.json<Shared>('share', source, '--name', 'tiny')
  const names = async (machine: Machine) =>
    (await machine.json<Listed[]>('images')).map(({ name }) => name)

  for (const name of ['tiny', link, mirrorLink]) {
    const said = await refusal(publisher, 'unseed', name)
    t.ok(
      /^BUSY: .*published tiny.*come back from a peer before a new version.*may be lost/.test(said),
      said
    )
  }
  t.alike(await names(publisher), ['tiny'], 'it is still there')
  t.is((await publisher.run('share', source, '--update', 'tiny')).exitCode, 0, 'and its key')

  await reader.ok('pull', link)
  const held = await refusal(publisher, 'unseed', 'tiny')
  t.ok(/its content remains on a peer/.test(held), held)

  const mounted = join(sandbox.directory, 'mnt')
  mkdirSync(mounted)
  await reader.ok('boot', 'tiny', '-n', 'web', '-d', '--', 'sleep', '1000')
  await reader.ok('mount', 'tiny', mounted)
  const used = await refusal(reader, 'unseed', 'tiny')
  t.ok(used.startsWith(`BUSY: image tiny is used by container web, the mount at ${mounted}`), used)

  const stopped = await reader.run('daemon', 'stop')
  t.is(stopped.exitCode, 0)
  t.ok(
    stopped.stderr.includes(`reads of container web, the mount at ${mounted} wait`),
    stopped.stderr
  )
  await reader.ok('daemon', 'start')
  t.is(await reader.ok('exec', 'web', '--', 'cat', '/etc/os-release'), 'ID=tiny', 'it is back')

  await reader.ok('umount', mounted)
  await reader.ok('stop', '-t', '0', 'web')
  const kept = await refusal(reader, 'unseed', link)
  t.ok(kept.startsWith('BUSY: image tiny is used by container web (stopped)'), kept)
  await reader.ok('rm', 'web')
  await reader.ok('unseed', 'tiny')
  t.alike(await names(reader), [], 'one that nothing uses goes without a question')

  const quiet = await reader.run('daemon', 'stop')
  t.is(quiet.stderr, '', 'a stop that nobody waits for says nothing')
  const gone = await publisher.ok('unseed', 'tiny', '--force')
  t.ok(gone.includes('to publish it again, pull its link'), gone)
  t.alike(await names(publisher), [])
  t.is((await publisher.run('unseed', 'tiny')).exitCode, 3, 'what is not there is not found')
})

test('who gave its image up publishes it again when a peer gives it back', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const source = tinyRootfs(join(sandbox.directory, 'source'))
  const publisher = await sandbox.machine('publisher')
  const reader = await sandbox.machine('reader')
  const { link } = await publisher.json<Shared>('share', source, '--name', 'tiny')
  writeFileSync(join(source, 'etc/second'), 'second')
  await publisher.ok('share', source, '--update', 'tiny')
  await reader.ok('pull', link)
  await publisher.ok('unseed', 'tiny', '--force')
  const without = await publisher.run('share', source, '--update', link)
  t.is(without.exitCode, 3)
  t.ok(without.stderr.includes('pull its link first'), without.stderr)
  await publisher.ok('daemon', 'stop')
  await publisher.ok('pull', link)
  const [own] = await publisher.json<Listed[]>('images')
  t.is(own?.role, 'owner', 'it is its own again')
  writeFileSync(join(source, 'etc/third'), 'third')
  await publisher.ok('share', source, '--update', 'tiny')
  t.is(
    await reader.ok('cat', link, '/etc/third'),
    'third',
    'who has the link gets the next version'
  )
  t.is(await reader.ok('cat', `tiny@2`, '/etc/second'), 'second', 'and has those before it')
})
