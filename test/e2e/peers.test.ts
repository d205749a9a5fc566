import { spawn } from 'node:child_process'
import { readdirSync, readFileSync, statSync, writeFileSync, mkdirSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import test from 'brittle'
import { leftAfter, snapshot } from '../boot/leftovers.ts'
import { debianRootfs } from './rootfs.ts'
import type { Container, Listed, Shared } from './results.ts'
import { until } from '../until.ts'
import { LONG, Machine, Sandbox } from './sandbox.ts'

test('two daemons on one host find each other, twenty times in a row', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const source = smallTree(join(sandbox.directory, 'source'))
  const publisher = await sandbox.machine('publisher')
  const { link } = await publisher.json<Shared>('share', source)
  const took: number[] = []
  for (let round = 0; round < 20; round++) {
    const reader = await sandbox.machine(`reader-${round}`)
    const started = performance.now()
    t.is(await reader.ok('cat', link, '/greeting'), 'hello', `round ${round}`)
    took.push(Math.round(performance.now() - started))
    await reader.ok('daemon', 'stop')
  }
  t.comment(`milliseconds, each with the start of a daemon: ${took.join(' ')}`)
})

test(
  'a mirror without the secret keeps an image available, and can read none of it',
  LONG,
  async (t) => {
    const before = snapshot()
    {
      await using sandbox = await Sandbox.open()
      const publisher = await sandbox.machine('publisher')
      const mirror = await sandbox.machine('mirror')
      const reader = await sandbox.machine('reader')
      const shared = await publisher.json<Shared>(
        'share',
        debianRootfs(),
        '--name',
        'debian-secret'
      )
      const state = await mirror.json<Listed>('mirror', shared.mirrorLink, '--wait')
      t.is(state.role, 'mirror')
      t.is(state.blocksHeld, state.blocksKnown)
      t.is(
        (await mirror.run('cat', shared.mirrorLink, '/etc/passwd')).exitCode,
        5,
        'it reads nothing'
      )
      await publisher.ok('daemon', 'stop')
      await mirror.ok('daemon', 'stop')
      await mirror.ok('daemon', 'start')

      const booted = await reader.json<Container>(
        ...['boot', shared.link, '-n', 'one', '-d', '--wait', 'ready']
      )
      t.is(booted.state, 'running', 'booted from the mirror alone, which was restarted')
      await reader.ok('rm', '-f', 'one')

      const secret = shared.link.split('#')[1] ?? ''
      const plain = [
        'debian-secret',
        secret,
        'etc/passwd',
        'root:x:0:0',
        'systemd',
        'GNU C Library'
      ]
      const files = filesBelow(mirror.home)
      t.ok(files.length > 3)
      for (const text of plain) {
        const found = files.filter((path) => readFileSync(path).includes(text))
        t.alike(found, [], `no ${JSON.stringify(text)} in the mirror's home`)
      }
    }
    t.alike(await leftAfter(before), [], 'nothing is left')
  }
)

for (const mode of ['erofs', 'fuse']) {
  test(`the daemon is killed during a read, which completes (${mode})`, LONG, async (t) => {
    const before = snapshot()
    {
      await using sandbox = await Sandbox.open()
      const source = smallTree(join(sandbox.directory, 'source'))
      const publisher = await sandbox.machine('publisher')
      const reader = await sandbox.machine('reader')
      const { link } = await publisher.json<Shared>('share', source)
      const directory = join(sandbox.directory, 'mnt')
      mkdirSync(directory)
      await reader.ok('mount', link, directory, '--mount', mode, '--lazy-only')
      // With the publisher away the read must wait for peers, wherever it has got to.
      await publisher.ok('daemon', 'stop')
      const reading = spawn('sha256sum', [join(directory, 'large')])
      let sum = ''
      reading.stdout.on('data', (data) => (sum += String(data)))
      const ended = new Promise<number | null>((resolve) => reading.once('close', resolve))
      await pause(500)
      const { pid } = await reader.json<{ pid: number }>('daemon', 'status')
      process.kill(pid, 'SIGKILL')
      await pause(500)
      t.is(reading.exitCode, null, 'it waits')
      await publisher.ok('daemon', 'start')
      t.is(await ended, 0, 'and completes')
      const expected = spawn('sha256sum', [join(source, 'large')])
      let wanted = ''
      for await (const data of expected.stdout) wanted += String(data)
      t.is(sum.split(' ')[0], wanted.split(' ')[0], 'with the right content')
      const revived = await reader.json<{ pid: number }>('daemon', 'status')
      t.unlike(revived.pid, pid, 'the daemon was started again by who needed it')
      t.is((await reader.json<Listed[]>('images')).length, 1, 'and remembers its images')
      await reader.ok('umount', directory)
    }
    t.alike(await leftAfter(before), [], 'nothing is left')
  })
}

test('a second daemon for one home is refused; a stopped one is started again', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const machine = await sandbox.machine('only')
  t.is((await machine.run('daemon', 'status')).exitCode, 3)
  const first = await machine.json<{ pid: number }>('daemon', 'start')
  const second = await machine.run('daemon', 'run')
  t.is(second.exitCode, 1)
  t.ok(second.stderr.includes(`process ${first.pid}`), second.stderr)
  t.is(second.stderr.split('\n').length, 1, 'one line')
  t.is(statSync(socketOf(sandbox)).mode & 0o777, 0o600, 'only its owner may talk to it')
  await machine.ok('daemon', 'stop')
  t.is((await machine.run('daemon', 'status')).exitCode, 3)
  // Several commands at once that all need a daemon get one.
  await Promise.all(Array.from({ length: 4 }, () => machine.ok('images')))
  t.is((await machine.run('daemon', 'status')).exitCode, 0)
})

test('a publisher says whether peers can find it', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const source = smallTree(join(sandbox.directory, 'source'))
  const known = await sandbox.machine('known')
  // On a busy machine an announcement takes longer than one share waits for it.
  let tries = 0
  await until(t, 'it is announced', async () => {
    const args = ['share', source, '-n', `try-${++tries}`]
    return (await known.json<{ announced: boolean }>(...args)).announced
  })
  t.is((await known.json<{ online: boolean }>('daemon', 'status')).online, true)
  // In a network of its own, as nodes of a DHT also ask at ports that others had before.
  const network = process.getuid?.() === 0 ? ['unshare', '--net'] : []
  const environment = { ...sandbox.sandboxEnvironment, DAT_CONTAINER_BOOTSTRAP: '127.0.0.1:9' }
  const alone = new Machine(join(sandbox.directory, 'alone'), environment, network)
  try {
    t.ok((await alone.ok('share', source)).includes('It is not announced in the DHT yet'))
    t.ok((await alone.ok('daemon', 'status')).includes('(no node answers)'))
  } finally {
    await alone.ok('daemon', 'stop')
  }
})

function socketOf(sandbox: Sandbox): string {
  const found = readdirSync(join(sandbox.directory, 'run'), { recursive: true, encoding: 'utf8' })
  const name = found.find((path) => path.endsWith('daemon.sock'))
  if (!name) throw new Error('no socket')
  return join(sandbox.directory, 'run', name)
}

/** A few files, one of 24 MB that does not compress. */
function smallTree(directory: string): string {
  mkdirSync(directory)
  writeFileSync(join(directory, 'greeting'), 'hello')
  writeFileSync(join(directory, 'large'), randomBytes(24 * 1024 * 1024))
  return directory
}

function filesBelow(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .map((name) => join(directory, name))
    .filter((path) => statSync(path).isFile())
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
