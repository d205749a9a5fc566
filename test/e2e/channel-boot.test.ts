import { cpSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'brittle'
import { leftAfter, snapshot } from '../boot/leftovers.ts'
import { until } from '../until.ts'
import { refusal, type Channel } from './channel-scene.ts'
import type { Container, Shared } from './results.ts'
import { debianRootfs } from './rootfs.ts'
import { LONG, Sandbox, type Machine } from './sandbox.ts'
import { tinyRootfs } from './tiny-rootfs.ts'

/** No image has it. */
const LINK_OF_NOTHING = `dat://${'y'.repeat(52)}#${'y'.repeat(52)}`

/** What the container says of its image; empty while it does not run. */
async function marker(machine: Machine): Promise<string> {
  return (await machine.run('exec', 'web', '--', 'cat', '/etc/marker')).stdout
}

test('a container follows a channel to another version and another image', LONG, async (t) => {
  const before = snapshot()
  {
    await using sandbox = await Sandbox.open()
    const owner = await sandbox.machine('owner')
    const reader = await sandbox.machine('reader')
    const share = async (name: string): Promise<Shared> => {
      const source = tinyRootfs(join(sandbox.directory, name))
      writeFileSync(join(source, 'etc/marker'), name)
      return owner.json<Shared>('share', source, '--name', name)
    }
    const one = await share('one')
    const two = await share('two')
    writeFileSync(join(sandbox.directory, 'one/etc/marker'), 'second')
    await owner.ok('share', join(sandbox.directory, 'one'), '--update', 'one')
    const { link } = await owner.json<Channel>('channel', 'create', 'stable', 'one@1')
    const channel = link ?? ''

    const command = ['--', 'sleep', '1000']
    t.is(
      await refusal(reader, 'boot', channel, '--follow', '-d', '-n', 'web', ...command),
      '2 USAGE: --follow requires --ephemeral or --rm'
    )
    t.is(
      await refusal(reader, 'boot', one.link, '--follow', '--rm', '-d', '-n', 'web', ...command),
      '2 USAGE: --follow takes the link of a channel'
    )
    const following = ['boot', channel, '--follow', '--rm', '-d', '-n', 'web', ...command]
    const booted = await reader.json<Container>(...following)
    t.is(booted.version, 1)
    t.is(await marker(reader), 'one')

    await owner.ok('channel', 'set', 'stable', 'one@2')
    await until(t, 'it runs the other version', async () => (await marker(reader)) === 'second')

    // What cannot be had does not end what runs.
    await owner.ok('channel', 'set', 'stable', LINK_OF_NOTHING)
    await until(
      t,
      'the reader knows that record',
      async () => (await reader.json<Channel[]>('channel', 'ls'))[0]?.record === 3
    )
    t.is(await marker(reader), 'second', 'it goes on')

    // The daemon is replaced meanwhile.
    await reader.ok('daemon', 'stop')
    await reader.ok('daemon', 'start')
    await owner.ok('channel', 'set', 'stable', 'two')
    await until(t, 'it runs the other image', async () => (await marker(reader)) === 'two', {
      withinMs: 120_000
    })
    const [running] = await reader.json<(Container & { key: string })[]>('ps')
    t.alike([running?.name, running?.key], ['web', two.key])

    await owner.ok('channel', 'set', 'stable', 'one@1', '--allow-rollback')
    await until(t, 'the rollback is refused', async () =>
      (await refusal(reader, 'channel', 'show', channel)).startsWith('5 ROLLED_BACK: ')
    )
    t.is(await marker(reader), 'two', 'and not followed')

    await reader.ok('stop', '-t', '5', 'web')
    t.alike(await reader.json<Container[]>('ps', '-a'), [], 'who stops it ends it for good')
  }
  t.alike(await leftAfter(before), [], 'nothing is left')
})

test('an init is stopped in order and started again of what a channel names', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const owner = await sandbox.machine('owner')
  const reader = await sandbox.machine('reader')
  const source = join(sandbox.directory, 'debian')
  cpSync(debianRootfs(), source, { recursive: true, verbatimSymlinks: true })
  await owner.ok('share', source, '--name', 'debian')
  writeFileSync(join(source, 'etc/marker'), 'second')
  await owner.ok('share', source, '--update', 'debian')
  const { link } = await owner.json<Channel>('channel', 'create', 'stable', 'debian@1')
  const options = ['--follow', '--ephemeral', '-n', 'web', '-d', '--wait', 'ready']
  await reader.ok('boot', link ?? '', ...options)
  t.is(await marker(reader), '')
  await owner.ok('channel', 'set', 'stable', 'debian@2')
  await until(t, 'it runs the other version', async () => (await marker(reader)) === 'second')
  await until(t, 'and systemd is up', async () => {
    const { stdout } = await reader.run('exec', 'web', '--', 'systemctl', 'is-system-running')
    return stdout === 'running'
  })
  await reader.ok('stop', 'web')
  t.alike(await reader.json<Container[]>('ps', '-a'), [])
})

test(
  'a container that keeps its files stays on the image that a channel named',
  LONG,
  async (t) => {
    await using sandbox = await Sandbox.open()
    const owner = await sandbox.machine('owner')
    const reader = await sandbox.machine('reader')
    for (const name of ['one', 'two']) {
      const source = tinyRootfs(join(sandbox.directory, name))
      writeFileSync(join(source, 'etc/marker'), name)
      await owner.ok('share', source, '--name', name)
    }
    const { link } = await owner.json<Channel>('channel', 'create', 'stable', 'one')
    const boot = ['boot', link ?? '', '-n', 'web', '--', 'cat', '/etc/marker']
    t.is(await reader.ok(...boot), 'one')
    t.is(await reader.ok(...boot), 'one', 'it starts again')
    await owner.ok('channel', 'set', 'stable', 'two')
    t.is(await refusal(reader, ...boot), '1 NAME_IN_USE: container web is of another image')
    await reader.ok('rm', 'web')
    t.is(await reader.ok(...boot), 'two')
  }
)
