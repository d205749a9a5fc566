import { rmSync } from 'node:fs'
import { join } from 'node:path'
import test from 'brittle'
import { freePort } from '../../src/machine/qemu/free-port.ts'
import { image, refusal, version, type Channel } from './channel-scene.ts'
import type { Listed, Shared } from './results.ts'
import { LONG, Machine, Sandbox } from './sandbox.ts'

/** No image has it. */
const LINK_OF_NOTHING = `${'y'.repeat(52)}#${'y'.repeat(52)}`

function otherSecret(link: string): string {
  return link.replace(/#(.)/, (_, first) => (first === 'y' ? '#b' : '#y'))
}

test('a channel stands for the image that its owner has it name', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const owner = await sandbox.machine('owner')
  const reader = await sandbox.machine('reader')
  const one = await image(sandbox, owner, 'one')
  const two = await image(sandbox, owner, 'two')

  const made = await owner.json<Channel>('channel', 'create', 'stable', 'one')
  t.ok(/^dat-channel:\/\/[a-z0-9]{52}#[a-z0-9]{52}$/.test(made.link ?? ''), 'the link has a secret')
  const link = made.link ?? ''
  t.is(made.mirrorLink, link.split('#')[0])

  const read = await reader.run('cat', link, '/name')
  t.is(read.stdout, 'one', 'a reader that only knows the channel reads its image')
  t.ok(read.stderr.includes(`names ${one.mirrorLink}`), read.stderr)
  t.ok(!read.stderr.includes('#'), 'and is shown no secret')
  t.is((await reader.json<Shared>('pull', link)).key, one.key, 'pull takes it, too')
  t.is((await reader.json<{ key: string }>('info', link)).key, one.key, 'and info')

  // Another key: this is how the key of an image is replaced.
  await owner.ok('channel', 'set', 'stable', 'two')
  t.is(await reader.ok('cat', link, '/name'), 'two', 'the same link stands for the other image')
  const shown = await reader.json<Channel>('channel', 'show', link, '--links')
  t.is(shown.image, two.link)
  t.is(shown.record, 2)

  t.is(
    await refusal(reader, 'channel', 'set', link, 'two'),
    '3 NOT_FOUND: this machine does not own that channel'
  )
  t.is(
    await refusal(reader, 'cat', otherSecret(link), '/name'),
    '5 WRONG_SECRET: the secret in this link does not open the channel'
  )
  t.is(
    await reader.ok('cat', link, '/name'),
    'two',
    'the wrong secret has not replaced the right one'
  )
  t.ok(
    (await refusal(owner, 'channel', 'rm', 'stable')).startsWith('1 BUSY: '),
    'the owner is asked'
  )
  t.alike(
    (await owner.json<Channel[]>('channel', 'ls')).map(({ role, record }) => [role, record]),
    [['owner', 2]]
  )
})

test('a channel does not go back unless its reader wants that', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const owner = await sandbox.machine('owner')
  const reader = await sandbox.machine('reader')
  const control = await sandbox.machine('control')
  await image(sandbox, owner, 'one')
  await version(sandbox, owner, 'one', 'second')
  const { link } = await owner.json<Channel>('channel', 'create', 'stable', 'one@2')
  const channel = link ?? ''
  t.is(await reader.ok('cat', channel, '/name'), 'second')

  t.ok(
    (await refusal(owner, 'channel', 'set', 'stable', 'one@1')).startsWith('5 ROLLED_BACK: '),
    'the owner is asked'
  )
  await owner.ok('channel', 'set', 'stable', 'one@1', '--allow-rollback')
  const refused = await refusal(reader, 'cat', channel, '/name')
  t.is(
    refused,
    '5 ROLLED_BACK: the channel names version 1 of an image of which this home has seen version 2 in it'
  )
  t.is(await control.ok('cat', channel, '/name'), 'one', 'who has not seen version 2 takes it')
  t.ok(
    (await refusal(reader, 'channel', 'show', channel)).startsWith('5 ROLLED_BACK: '),
    'it is refused again'
  )
  await reader.ok('channel', 'show', channel, '--accept-rollback')
  t.is(await reader.ok('cat', channel, '/name'), 'one', 'and taken when that is wanted')

  // What was named as the newest version counts as the one that the reader knows.
  await owner.ok('channel', 'set', 'stable', 'one')
  t.is(await reader.ok('cat', channel, '/name'), 'second')
  await owner.ok('channel', 'set', 'stable', 'one@1', '--allow-rollback')
  t.ok((await refusal(reader, 'cat', channel, '/name')).startsWith('5 ROLLED_BACK: '))
})

test('readers and restarts keep a channel available', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const owner = await sandbox.machine('owner')
  const holder = await sandbox.machine('holder')
  const late = await sandbox.machine('late')
  const one = await image(sandbox, owner, 'one')
  await image(sandbox, owner, 'two')
  const { link } = await owner.json<Channel>('channel', 'create', 'stable', 'two')
  const channel = link ?? ''
  await owner.ok('channel', 'set', 'stable', one.link)
  await holder.ok('pull', channel)

  await owner.ok('daemon', 'stop')
  await holder.ok('daemon', 'stop')
  await holder.ok('daemon', 'start')
  t.is(await late.ok('cat', channel, '/name'), 'one', 'a reader answers for the owner')
  const [known] = await holder.json<Listed[]>('images')
  t.is(known?.name, 'one')
  t.is((await holder.json<Channel>('channel', 'show', channel, '--offline')).record, 2)

  await owner.ok('daemon', 'start')
  t.is(
    (await owner.json<Channel>('channel', 'set', 'stable', 'two')).record,
    3,
    'its owner goes on'
  )
  t.is(await late.ok('cat', channel, '/name'), 'two')
  t.is(
    await refusal(late, 'cat', 'dat-channel://nothing', '/'),
    '5 BAD_LINK: in the link of a channel: not a usable link: its key has 7 characters instead of 52 (or 64 in hex)'
  )
})

test('peers that know only old records of a channel are not believed', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const owner = await sandbox.machine('owner')
  const old = await sandbox.machine('old')
  const reader = await sandbox.machine('reader')
  const control = await sandbox.machine('control')
  await image(sandbox, owner, 'one')
  await image(sandbox, owner, 'two')
  const { link } = await owner.json<Channel>('channel', 'create', 'stable', 'one')
  const channel = link ?? ''
  await old.ok('pull', channel)
  await old.ok('daemon', 'stop')
  await owner.ok('channel', 'set', 'stable', 'two')
  t.is(await reader.ok('cat', channel, '/name'), 'two')

  // Its store is lost, and with it what the log itself remembers.
  await reader.ok('daemon', 'stop')
  await owner.ok('daemon', 'stop')
  rmSync(join(reader.home, 'store'), { recursive: true })
  await old.ok('daemon', 'start')
  t.is(
    await refusal(reader, 'cat', channel, '/name'),
    '5 ROLLED_BACK: peers have only record 1 of this channel, and this home has seen record 2'
  )
  t.is(await control.ok('cat', channel, '/name'), 'one', 'who has seen nothing takes it')
  await owner.ok('daemon', 'start')
  await old.ok('daemon', 'stop')
  await control.ok('daemon', 'stop')
  t.is(await reader.ok('cat', channel, '/name'), 'two', 'its owner gives the newest one back')

  // An owner that has lost its records adds none until it has them back.
  await owner.ok('daemon', 'stop')
  rmSync(join(owner.home, 'store'), { recursive: true })
  await reader.ok('daemon', 'stop')
  await owner.ok('daemon', 'start')
  const forked = await refusal(owner, 'channel', 'set', 'stable', 'dat://' + LINK_OF_NOTHING)
  t.is(
    forked,
    '1 FORKED: this home has lost records of the channel stable, and would set others in their place'
  )
  await reader.ok('daemon', 'start')
  const set = await owner.json<Channel>('channel', 'set', 'stable', 'dat://' + LINK_OF_NOTHING)
  t.is(set.record, 3)
})

test('the link of a channel names a peer, and needs no DHT then', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  // Nobody answers there.
  const environment = { ...sandbox.sandboxEnvironment, DAT_CONTAINER_BOOTSTRAP: '127.0.0.1:9' }
  const machine = async (name: string): Promise<Machine> =>
    new Machine((await sandbox.machine(name)).home, environment)
  const [owner, reader, mirror] = [
    await machine('owner'),
    await machine('reader'),
    await machine('mirror')
  ]
  const listen = `127.0.0.1:${await freePort()}`
  await owner.ok('daemon', 'start', '--listen', listen)
  const one = await image(sandbox, owner, 'one')
  const { link, mirrorLink } = await owner.json<Channel>('channel', 'create', 'stable', 'one')
  t.ok(link?.endsWith(`?peer=${listen}`), link ?? '')
  t.is(await reader.ok('cat', link ?? '', '/name'), 'one')
  const shown = await reader.json<Channel>('channel', 'show', link ?? '', '--links')
  t.is(shown.image, one.link, 'its record names the peer of the image, too')
  await mirror.ok('mirror', '--follow', mirrorLink, '--wait')
  t.alike(
    (await mirror.json<Listed[]>('images')).map(({ key }) => key),
    [one.key]
  )
})
