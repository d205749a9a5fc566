import { randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'brittle'
import { parseFullLink } from '../../src/p2p/link.ts'
import { until } from '../until.ts'
import { image, refusal, version, type Channel } from './channel-scene.ts'
import { foundBelow, foundInMemory, type Needles } from './memory-search.ts'
import type { Listed, Shared } from './results.ts'
import { LONG, Sandbox, type Machine } from './sandbox.ts'

/** Keys of the images that a machine has, each with whether all of it is here. */
async function held(machine: Machine): Promise<Record<string, boolean>> {
  const images = await machine.json<(Listed & { complete: boolean })[]>('images')
  return Object.fromEntries(images.map(({ key, complete }) => [key, complete]))
}

test('a mirror follows a channel and can read nothing of it', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const owner = await sandbox.machine('owner')
  const mirror = await sandbox.machine('mirror')
  const late = await sandbox.machine('late')
  const content = randomBytes(300_000)
  const share = async (): Promise<{ shared: Shared; name: string }> => {
    const name = `image-${randomBytes(12).toString('hex')}`
    const source = join(sandbox.directory, name)
    mkdirSync(source)
    writeFileSync(join(source, 'content'), content)
    writeFileSync(join(source, 'name'), name)
    return { shared: await owner.json<Shared>('share', source, '--name', name), name }
  }
  const one = await share()
  const two = await share()
  const three = await share()
  const channelName = `channel-${randomBytes(12).toString('hex')}`
  const { link } = await owner.json<Channel>('channel', 'create', channelName, one.shared.link)
  const channel = link ?? ''

  // The command is told the secret; its daemon is not.
  await mirror.ok('mirror', '--follow', channel, '--wait')
  t.alike(await held(mirror), { [one.shared.key]: true })
  await owner.ok('channel', 'set', channelName, two.shared.link)
  const only = (key: string) => async (): Promise<boolean> => {
    const now = await held(mirror)
    return Object.keys(now).length === 1 && now[key] === true
  }
  await until(t, 'an image with another key takes its place', only(two.shared.key))

  // A daemon that was away when the channel was set, and an owner who is away when it is back.
  await mirror.ok('daemon', 'stop')
  await owner.ok('channel', 'set', channelName, three.shared.link)
  await mirror.ok('daemon', 'start')
  await until(t, 'it goes on after a restart', only(three.shared.key))
  const [followed] = await mirror.json<Channel[]>('channel', 'ls')
  t.alike([followed?.follows, followed?.role, followed?.record], ['mirror', 'mirror', 3])
  await owner.ok('daemon', 'stop')
  t.is(await late.ok('cat', channel, '/name'), three.name, 'the mirror serves channel and image')

  const secrets = [one, two, three].map(({ shared }) => parseFullLink(shared.link).secret)
  const channelSecret = channel.split('#')[1] ?? ''
  const channelKey = parseFullLink(`${one.shared.key}#${channelSecret}`).secret
  const needles: Needles = {
    ...Object.fromEntries(
      secrets.flatMap((secret, n) => [
        [`secret ${n}`, secret],
        [`secret ${n} in hex`, Buffer.from(secret.toString('hex'))]
      ])
    ),
    'secret of the channel': channelKey,
    'the same in hex': Buffer.from(channelKey.toString('hex')),
    'the same in z-base-32': Buffer.from(channelSecret),
    'name of the channel': Buffer.from(channelName),
    'name of the image': Buffer.from(three.name),
    content: content.subarray(100_000, 100_048)
  }
  t.alike(foundBelow(mirror.home, needles), [], 'nothing on its disk')
  const { pid } = await mirror.json<{ pid: number }>('daemon', 'status')
  t.alike([...foundInMemory(pid, needles)], [], 'nothing in its daemon’s memory')
  const seen = new Set(foundBelow(owner.home, needles).map(({ needle }) => needle))
  for (const needle of ['secret 0 in hex', 'the same in hex', 'name of the channel']) {
    t.ok(seen.has(needle), `the search finds ${needle} where it is`)
  }
})

test('a seeder follows a channel, and frees what nothing uses', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const owner = await sandbox.machine('owner')
  const seeder = await sandbox.machine('seeder')
  const one = await image(sandbox, owner, 'one')
  const two = await image(sandbox, owner, 'two')
  const three = await image(sandbox, owner, 'three')
  await version(sandbox, owner, 'three', 'second')
  const { link } = await owner.json<Channel>('channel', 'create', 'stable', 'one')
  const channel = link ?? ''

  t.ok(
    (await refusal(seeder, 'seed', '--follow', channel.split('#')[0] ?? '')).startsWith(
      '5 BAD_LINK: this is the mirror link of a channel'
    )
  )
  t.ok((await refusal(seeder, 'seed', '--follow', one.link)).startsWith('2 USAGE: --follow takes'))
  await seeder.ok('seed', '--follow', channel, '--wait')
  t.alike(await held(seeder), { [one.key]: true })
  t.is(
    await refusal(seeder, 'unseed', 'one'),
    `1 BUSY: the channel ${(await seeder.json<{ name: string }[]>('channel', 'ls'))[0]?.name}, which is followed, names one`
  )

  const mounted = join(sandbox.directory, 'mounted')
  mkdirSync(mounted)
  await seeder.ok('mount', channel, mounted)
  await owner.ok('channel', 'set', 'stable', 'two')
  await until(t, 'the other image is here', async () => (await held(seeder))[two.key] === true)
  // It would go with the next look, two seconds later.
  await new Promise((resolve) => setTimeout(resolve, 5_000))
  t.ok(one.key in (await held(seeder)), 'what is mounted stays')
  await seeder.ok('umount', mounted)
  await until(t, 'it goes when nothing uses it', async () => !(one.key in (await held(seeder))))
  t.alike(await held(seeder), { [two.key]: true })

  // What the user asked for is the user's.
  await seeder.ok('seed', three.link, '--wait')
  await owner.ok('channel', 'set', 'stable', 'three@2')
  await until(t, 'the one before goes', async () => !(two.key in (await held(seeder))))
  await owner.ok('channel', 'set', 'stable', 'two')
  await until(t, 'the other image is here', async () => (await held(seeder))[two.key] === true)
  await new Promise((resolve) => setTimeout(resolve, 5_000))
  t.ok(three.key in (await held(seeder)), 'an image that was seeded before stays')

  // A rollback is not followed.
  await owner.ok('channel', 'set', 'stable', 'three@1', '--allow-rollback')
  t.ok(
    (await refusal(seeder, 'channel', 'show', channel)).startsWith('5 ROLLED_BACK: '),
    'it is refused'
  )
  t.is((await seeder.json<Channel[]>('channel', 'ls'))[0]?.record, 4)
  await seeder.ok('channel', 'unfollow', channel)
  t.is((await seeder.json<Channel[]>('channel', 'ls'))[0]?.follows, null)
  t.ok(two.key in (await held(seeder)), 'what it named stays')
  await seeder.ok('unseed', 'two')
})
