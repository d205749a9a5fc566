import { join } from 'node:path'
import test from 'brittle'
import { freePort } from '../../src/machine/qemu/free-port.ts'
import { leftAfter, snapshot } from '../boot/leftovers.ts'
import type { Listed, Shared } from './results.ts'
import { LONG, Sandbox, type Machine } from './sandbox.ts'
import { tinyRootfs } from './tiny-rootfs.ts'

interface Status {
  readonly publicKey: string
  readonly allowed: readonly string[] | null
}

const SOON = ['--peer-timeout', '6']

async function keyOf(machine: Machine): Promise<string> {
  return (await machine.json<{ publicKey: string }>('identity')).publicKey
}

async function heldBy(machine: Machine): Promise<number> {
  const images = await machine.json<Listed[]>('images')
  return images.reduce((sum, { blocksHeld }) => sum + blocksHeld, 0)
}

test(
  'a private swarm serves those on its list and nobody else who has the link',
  LONG,
  async (t) => {
    const before = snapshot()
    {
      await using sandbox = await Sandbox.open()
      const publisher = await sandbox.machine('publisher')
      const friend = await sandbox.machine('friend')
      const stranger = await sandbox.machine('stranger')
      const keys = { publisher: await keyOf(publisher), friend: await keyOf(friend) }
      t.is((await publisher.ok('identity')).trim(), keys.publisher, 'it is written, and stays')
      t.not(keys.publisher, keys.friend)

      const listen = `127.0.0.1:${await freePort()}`
      await publisher.ok('daemon', 'start', '--listen', listen, '--allow', keys.friend)
      const status = await publisher.json<Status>('daemon', 'status')
      t.is(status.publicKey, keys.publisher, 'the daemon goes by it')
      t.alike(status.allowed, [keys.friend])
      t.is(await keyOf(publisher), keys.publisher, 'it is the same while the daemon runs')
      const source = tinyRootfs(join(sandbox.directory, 'source'))
      const { link } = await publisher.json<Shared>('share', source, '--name', 'tiny')
      const [byDht = ''] = link.split('?')

      await friend.ok('daemon', 'start', '--allow', keys.publisher)
      await friend.ok('pull', byDht)
      t.ok((await heldBy(friend)) > 0, 'who is on the list gets the image')

      const refused = await stranger.run('pull', link, ...SOON)
      t.is(refused.exitCode, 4, refused.stderr)
      t.ok(
        /refused this machine.*private/.test(refused.stderr),
        `and is told why: ${refused.stderr}`
      )
      t.ok(refused.stderr.includes('dat-container identity'), 'and what to do')
      const unanswered = await stranger.run('pull', byDht, ...SOON)
      t.is(unanswered.exitCode, 4, unanswered.stderr)
      t.ok(/refused this machine|did not answer/.test(unanswered.stderr), unanswered.stderr)
      t.is(await heldBy(stranger), 0, 'others get nothing, also from the friend')

      await stranger.ok('daemon', 'stop')
      await stranger.ok('daemon', 'start', '--allow', keys.friend)
      await publisher.ok('daemon', 'stop')
      await publisher.ok('daemon', 'start', '--listen', listen)
      await friend.ok('daemon', 'stop')
      const own = await stranger.run('pull', byDht, ...SOON)
      t.is(own.exitCode, 4, own.stderr)
      t.ok(/allow (does not list|lists)/.test(own.stderr), `the own list holds, too: ${own.stderr}`)
      t.is(await heldBy(stranger), 0)

      await stranger.ok('daemon', 'stop')
      await stranger.ok('pull', link)
      t.ok((await heldBy(stranger)) > 0, 'without lists, the same machines connect')
    }
    t.alike(await leftAfter(before), [], 'nothing is left')
  }
)

test('a list that is not one is refused', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const machine = await sandbox.machine('machine')
  const key = await keyOf(machine)
  for (const wrong of ['', ',', 'friend', `${key},x`, `${key}@1`]) {
    const ran = await machine.run('daemon', 'start', '--allow', wrong)
    t.is(ran.exitCode, 2, `${wrong}: ${ran.stderr}`)
  }
  await machine.ok('daemon', 'start', '--allow', key)
  const other = await machine.run('daemon', 'start', '--allow', `${key},${'y'.repeat(52)}`)
  t.is(other.exitCode, 1)
  t.ok(other.stderr.includes('--allow was ignored'), other.stderr)
  await machine.ok('daemon', 'start', '--allow', key)
})
