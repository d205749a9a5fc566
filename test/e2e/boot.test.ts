import { existsSync } from 'node:fs'
import { join } from 'node:path'
import test from 'brittle'
import { leftAfter, snapshot } from '../boot/leftovers.ts'
import { debianRootfs } from './rootfs.ts'
import type { Container, Shared, Stats } from './results.ts'
import { LONG, Sandbox } from './sandbox.ts'

test('share, boot, exec, stop, and boot again with no network', LONG, async (t) => {
  const before = snapshot()
  {
    await using sandbox = await Sandbox.open()
    const publisher = await sandbox.machine('publisher')
    const reader = await sandbox.machine('reader')
    const shared = await publisher.json<Shared>('share', debianRootfs(), '--name', 'debian')
    t.is(shared.version, 1)
    t.ok(shared.storedBytes < shared.bytes, 'stored compressed')

    const booted = await reader.json<Container>(
      ...['boot', shared.link, '-n', 'one', '-d', '--wait', 'ready', '--lazy-only']
    )
    t.is(booted.state, 'running')
    const stats = await reader.json<Stats>('stats', 'one')
    t.ok(
      stats.fetchedBytes > 0 && stats.localBytes < stats.imageBytes / 2,
      'ready before half was here'
    )
    t.comment(`${stats.localBytes} of ${stats.imageBytes} stored bytes were here when it was ready`)
    t.absent(stats.complete)

    t.is(await reader.ok('exec', 'one', '--', 'systemctl', 'is-system-running'), 'running')
    t.is(await reader.ok('exec', 'one', '--', 'cat', '/proc/1/comm'), 'systemd')
    t.is((await reader.run('exec', 'one', '--', 'sh', '-c', 'exit 42')).exitCode, 42)
    t.is((await reader.run('exec', 'one', '--', 'no-such-command')).exitCode, 127)
    t.is((await reader.run('exec', 'one', '--', '/etc/passwd')).exitCode, 126)
    t.is((await reader.run('exec', 'other', '--', 'true')).exitCode, 3, 'no such container')
    const passed = await reader.start(['exec', '-i', 'one', '--', 'cat'], {
      input: 'through stdin'
    })
    t.is(passed.stdout, 'through stdin')
    t.alike(
      (await reader.json<Container[]>('ps')).map(({ name }) => name),
      ['one']
    )

    await reader.ok('exec', 'one', '--', 'sh', '-c', 'echo kept > /root/written && rm /etc/motd')
    await reader.ok('stop', 'one')
    t.alike(await reader.json<Container[]>('ps'), [])
    t.is((await reader.json<Container[]>('ps', '-a'))[0]?.state, 'stopped')
    t.ok((await reader.ok('logs', 'one')).includes('systemd'), 'its console was kept')

    await reader.ok('pull', shared.link)
    await publisher.ok('daemon', 'stop')
    await reader.ok('daemon', 'stop')
    const again = await reader.json<Container>(
      ...['boot', shared.link, '-n', 'one', '-d', '--wait', 'ready', '--offline']
    )
    t.is(again.state, 'running', 'with nobody else there')
    t.is(await reader.ok('exec', 'one', '--', 'cat', '/root/written'), 'kept', 'writes persist')
    t.is(
      (await reader.run('exec', 'one', '--', 'test', '-e', '/etc/motd')).exitCode,
      1,
      'deletions too'
    )
    await reader.ok('rm', '--force', 'one')
    t.absent(existsSync(join(reader.home, 'containers/one')), 'removed with what it wrote')
  }
  t.alike(await leftAfter(before), [], 'nothing is left')
})

test('two containers of one image share its mount and nothing else', LONG, async (t) => {
  const before = snapshot()
  {
    await using sandbox = await Sandbox.open()
    const publisher = await sandbox.machine('publisher')
    const reader = await sandbox.machine('reader')
    const { link } = await publisher.json<Shared>('share', debianRootfs(), '--name', 'debian')
    const options = ['-d', '--wait', 'ready', '--network', 'private']
    const [one, two] = await Promise.all([
      reader.json<Container>('boot', link, '-n', 'one', ...options),
      reader.json<Container>('boot', link, '-n', 'two', '--ephemeral', ...options)
    ])
    const { prefetchBytes, demandBytes } = await reader.json<Stats>('stats', 'one')
    t.ok(prefetchBytes > demandBytes, 'most of what a start reads comes ahead of it')
    await reader.ok('exec', 'one', '--', 'sh', '-c', 'echo one > /etc/who')
    await reader.ok('exec', 'two', '--', 'sh', '-c', 'echo two > /etc/who')
    t.is(await reader.ok('exec', 'one', '--', 'cat', '/etc/who'), 'one')
    t.is(await reader.ok('exec', 'two', '--', 'cat', '/etc/who'), 'two')
    t.unlike(one.leader, two.leader)
    const mounter = async (name: string): Promise<string> => {
      const { current } = await reader.json<{ current: { mounterSocket: string } }>('inspect', name)
      return current.mounterSocket
    }
    t.is(await mounter('one'), await mounter('two'), 'one mounted image under both')
    t.is((await reader.run('boot', link, '-n', 'one', '-d')).exitCode, 1, 'a name is used once')

    await reader.ok('stop', 'two')
    t.is(await reader.ok('exec', 'one', '--', 'cat', '/etc/who'), 'one', 'the other goes on')
    const names = (await reader.json<Container[]>('ps', '-a')).map(({ name }) => name)
    t.alike(names, ['one'], 'the ephemeral one is gone with its writes')
    await reader.ok('rm', '-f', 'one')
  }
  t.alike(await leftAfter(before), [], 'nothing is left')
})

test('one command: its streams and its exit status pass through', LONG, async (t) => {
  const before = snapshot()
  {
    await using sandbox = await Sandbox.open()
    const machine = await sandbox.machine('only')
    const { link } = await machine.json<Shared>('share', debianRootfs(), '--name', 'debian')
    const boot = ['boot', link, '--ephemeral']
    const bytes = Buffer.from(Array.from({ length: 70_000 }, (_, n) => n % 256))
    for (const mode of ['erofs', 'fuse']) {
      const argv = [...boot, '--mount', mode, '--', 'sh', '-c', 'echo said >&2; cat; exit 7']
      const ran = await machine.start(argv, { input: bytes, encoding: 'buffer' })
      t.is(ran.exitCode, 7, `${mode}: exit status`)
      t.ok(bytes.equals(ran.stdout as unknown as Uint8Array), `${mode}: stdin to stdout, untouched`)
      const stderr = Buffer.from(ran.stderr as unknown as Uint8Array).toString()
      t.ok(stderr.includes('said'), `${mode}: stderr`)
    }
    t.is((await machine.run(...boot, '--', 'no-such-command')).exitCode, 127)
    t.is((await machine.run(...boot, '--', '/etc/passwd')).exitCode, 126)
    t.is((await machine.run(...boot, '--nspawn-arg', '--nonsense', '--', 'true')).exitCode, 125)
    t.is(
      await machine.ok(...boot, '-e', 'A=b', '-w', '/etc', '--', 'sh', '-c', 'echo $A; pwd'),
      'b\n/etc'
    )
    const ro = await machine.run('boot', link, '--read-only', '--', 'touch', '/x')
    t.ok(ro.exitCode !== 0 && ro.stderr.includes('Read-only'))
  }
  t.alike(await leftAfter(before), [], 'nothing is left')
})

test('what a container has read does not come from this program again', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const machine = await sandbox.machine('machine')
  const { link } = await machine.json<Shared>('share', debianRootfs(), '--name', 'debian')
  for (const mode of ['erofs', 'fuse']) {
    await machine.ok('boot', link, '-n', mode, '-d', '--mount', mode, '--', 'sleep', '1000')
    // All of it, as programs may fault other pages of their libraries in each time.
    const work = 'find / -xdev -ls && find / -xdev -type f -exec cat {} + | sha256sum'
    const reads = async (): Promise<number> => {
      await machine.ok('exec', mode, '--', 'sh', '-c', work)
      return (await machine.json<Stats>('stats', mode)).kernelReads
    }
    const first = await reads()
    const again = (await reads()) - first
    t.comment(`${mode}: ${first} reads, and ${again} the second time`)
    // Not none: a host may page out what it thinks is cold at any time, as DAMON does; up to 8 % were seen.
    t.ok(again < first / 2, `${mode}: the second time, it is in the page cache`)
  }
})
