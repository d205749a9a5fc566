import { once } from 'node:events'
import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'brittle'
import { LONG } from '../../e2e/sandbox.ts'
import { guestOptions, MachineSandbox, whyNoGuest, type Shown } from '../machine-fixture.ts'
import { findGuests } from '../running-guests.ts'

const reason = whyNoGuest()
const skip = reason !== undefined
/** A test that is left out tells why. */
const titled = (title: string): string => (skip ? `${title} (${reason})` : title)

test(titled('start, look, run, restart, stop, remove'), { ...LONG, skip }, async (t) => {
  await using sandbox = new MachineSandbox()
  const home = sandbox.home('only')
  t.alike(await home.json('machine', 'ls'), [], 'none at first')
  t.is((await home.run('machine', 'status')).exitCode, 3, 'nor a default one')
  const options = guestOptions('--disk', '64M', '--append', 'loglevel=7')
  const started = await home.json<Shown>('machine', 'start', 'web', ...options)
  t.alike(
    [started.name, started.state, started.accel, started.ip],
    ['web', 'running', 'tcg', '127.0.0.1']
  )
  t.ok((started.pid ?? 0) > 0 && (started.sshPort ?? 0) > 0)
  const shown = await home.json<Shown>('machine', 'status', 'web')
  t.alike([shown.pid, shown.sshPort, shown.state], [started.pid, started.sshPort, 'running'])
  t.alike(
    (await home.json<Shown[]>('machine', 'ls')).map(({ name }) => name),
    ['web']
  )
  t.is(await home.ok('machine', 'ip', 'web'), '127.0.0.1')

  t.is(await home.ok('machine', 'exec', 'web', '--', 'hostname'), 'web')
  t.is(
    await home.ok('machine', 'exec', 'web', '--', 'echo', 'a  b', '$HOME', "it's"),
    "a  b $HOME it's"
  )
  t.is((await home.run('machine', 'exec', 'web', '--', 'sh', '-c', 'exit 7')).exitCode, 7)
  t.is(await home.ok('machine', 'ssh', 'web', '--', 'echo $((6 * 7)) | cat'), '42')
  const piped = await home.start(['machine', 'exec', '-i', 'web', '--', 'cat'], {
    input: 'through'
  })
  t.is(piped.stdout, 'through')
  t.ok((await home.ok('machine', 'ssh', 'web', '--', 'cat /proc/cmdline')).endsWith('loglevel=7'))
  t.is(await home.ok('machine', 'ssh', 'web', '--', 'cat /sys/block/vda/serial'), 'data')
  await home.ok('machine', 'ssh', 'web', '--', 'echo kept > /dev/vda; sync')
  t.ok((await home.ok('machine', 'logs', 'web')).includes('stand-in is up'))
  t.is((await home.ok('machine', 'logs', 'web', '--tail', '3')).trimEnd().split('\n').length, 3)

  const again = await home.run('machine', 'start', 'web')
  t.is(again.exitCode, 1)
  t.ok(again.stderr.includes('machine web is already running'), again.stderr)
  t.is((await home.run('machine', 'rm', 'web')).exitCode, 1, 'not while it runs')

  const restarted = await home.json<Shown>('machine', 'restart', 'web')
  t.not(restarted.pid, started.pid)
  t.is(restarted.sshPort, started.sshPort, 'the same port')
  t.is(await home.ok('machine', 'ssh', 'web', '--', 'head -n 1 /dev/vda'), 'kept')
  const following = home.start(['machine', 'logs', '-f', 'web'])
  t.alike(await home.json('machine', 'stop', 'web'), [{ name: 'web', orderly: true }])
  t.ok(String((await following).stdout).includes('stand-in powers off'), 'followed to the end')
  t.is((await home.run('machine', 'status', 'web')).exitCode, 3)
  const stopped = await home.run('machine', 'exec', 'web', '--', 'true')
  t.ok(stopped.exitCode === 1 && stopped.stderr.includes('machine start web'), stopped.stderr)

  await home.ok('machine', 'start', 'web', '--disk', '96M')
  t.is(await home.ok('machine', 'ssh', 'web', '--', 'cat /sys/block/vda/size'), String(96 * 2048))
  t.is((await home.run('machine', 'kill', 'web')).exitCode, 0)
  const shrunk = await home.run('machine', 'start', 'web', '--disk', '64M')
  t.ok(shrunk.exitCode === 2 && shrunk.stderr.includes('only grow'), shrunk.stderr)
  await home.ok('machine', 'rm', 'web')
  t.alike(readdirSync(join(home.home, 'machines')), [])
  t.alike(findGuests(sandbox.directory), [])
})

test(
  titled('several at once, each with ports of its own; nobody takes a running one'),
  { ...LONG, skip },
  async (t) => {
    await using sandbox = new MachineSandbox()
    const home = sandbox.home('only')
    const options = guestOptions('-p', '0.0.0.0:18321:80')
    const [one, two] = await Promise.all([
      home.json<Shown>('machine', 'start', 'one', ...options),
      home.json<Shown>('machine', 'start', 'two', ...guestOptions())
    ])
    t.not(one.sshPort, two.sshPort)
    t.is(await home.ok('machine', 'exec', 'two', '--', 'hostname'), 'two')
    await home.ok('machine', 'ssh', 'one', '--', 'echo page > /tmp/index.html; httpd -p 80 -h /tmp')
    t.is(await (await fetch('http://127.0.0.1:18321/index.html')).text(), 'page\n')
    const taken = await home.run('machine', 'start', 'three', ...options)
    t.is(taken.exitCode, 125)
    t.ok(taken.stderr.includes('tcp:0.0.0.0:18321-:80'), taken.stderr)
    t.absent(existsSync(join(home.home, 'machines/three')), 'nothing is left of it')
    const both = await Promise.all(
      [1, 2].map(() => home.run('machine', 'start', 'four', ...guestOptions()))
    )
    t.alike(
      both.map(({ exitCode }) => exitCode === 0).filter(Boolean),
      [true],
      'one of two starts of a name'
    )
    t.ok(both.some(({ stderr }) => stderr.includes('machine four')))
    t.is((await home.run('machine', 'kill', 'one', 'two', 'four')).exitCode, 0)
    t.alike(findGuests(sandbox.directory), [])
  }
)

test(
  titled('starts that fail say why, and what is cancelled leaves nothing'),
  { ...LONG, skip },
  async (t) => {
    await using sandbox = new MachineSandbox()
    const home = sandbox.home('only')
    const machines = join(home.home, 'machines')
    const mute = guestOptions('--append', 'stand-in.mute')

    const late = await home.run('machine', 'start', 'late', ...mute, '--timeout', '8s')
    t.is(late.exitCode, 1)
    t.ok(/the guest said last:\n {2}\S/.test(late.stderr), late.stderr)
    t.ok(late.stderr.includes('did not answer within 8 s') && late.stderr.includes('logs late'))
    t.is((await home.json<Shown[]>('machine', 'ls'))[0]?.state, 'stopped', 'kept for its logs')
    t.ok((await home.ok('machine', 'logs', 'late')).includes('Linux version'))

    const panics = guestOptions('--append', 'stand-in.panic')
    const gaveUp = await home.run('machine', 'start', 'panic', ...panics)
    t.is(gaveUp.exitCode, 125)
    t.ok(gaveUp.stderr.includes('Kernel panic - not syncing'), gaveUp.stderr)

    writeFileSync(join(sandbox.directory, 'no-kernel'), 'nothing')
    const noKernel = ['--kernel', join(sandbox.directory, 'no-kernel')]
    const refused = await home.run('machine', 'start', 'bad', ...guestOptions(...noKernel))
    t.is(refused.exitCode, 125)
    t.ok(refused.stderr.includes('QEMU ended: '), refused.stderr)

    const microvm = await home.run('machine', 'start', 'bad', ...guestOptions('--type', 'microvm'))
    t.ok(microvm.exitCode === 2 && microvm.stderr.includes('only on KVM'), microvm.stderr)

    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      const running = home.start(['machine', 'start', 'cut', ...mute])
      await until(() => existsSync(join(machines, 'cut/console.log')))
      running.kill(signal)
      t.is((await running).exitCode, 130, signal)
      t.absent(existsSync(join(machines, 'cut')))
    }
    t.alike(findGuests(sandbox.directory), [])
  }
)

test(
  titled('a machine outlives the command that starts it, however that ends'),
  { ...LONG, skip },
  async (t) => {
    await using sandbox = new MachineSandbox()
    const home = sandbox.home('only')
    const running = home.start(['machine', 'start', 'web', ...guestOptions()])
    await until(() => findGuests(sandbox.directory).length > 0)
    await until(async () => (await home.json<Shown[]>('machine', 'ls'))[0]?.state === 'starting')
    running.kill('SIGKILL')
    await running
    t.is((await home.json<Shown>('machine', 'status', 'web')).state, 'unready')
    const again = await home.run('machine', 'start', 'web')
    t.is(again.exitCode, 1, 'its name is taken')
    t.is((await home.run('machine', 'rm', '-f', 'web')).exitCode, 0)
    t.alike(findGuests(sandbox.directory), [])
  }
)

test(titled('stopping ends a start that is under way'), { ...LONG, skip }, async (t) => {
  await using sandbox = new MachineSandbox()
  const home = sandbox.home('only')
  const mute = guestOptions('--append', 'stand-in.mute')
  const running = home.start(['machine', 'start', 'web', ...mute])
  await until(async () => (await home.json<Shown[]>('machine', 'ls'))[0]?.state === 'starting')
  t.is((await home.run('machine', 'stop', '-t', '1s', 'web')).exitCode, 0)
  const ran = await running
  t.is(ran.exitCode, 125)
  t.ok(String(ran.stderr).includes('QEMU ended'), String(ran.stderr))
})

test(
  titled('a port of this machine that is taken is not asked for'),
  { ...LONG, skip },
  async (t) => {
    await using sandbox = new MachineSandbox()
    const home = sandbox.home('only')
    const { sshPort } = await home.json<Shown>('machine', 'start', 'web', ...guestOptions())
    await home.ok('machine', 'kill', 'web')
    const server = createServer().listen(sshPort ?? 0, '127.0.0.1')
    await once(server, 'listening')
    t.teardown(() => server.close())
    t.not((await home.json<Shown>('machine', 'start', 'web')).sshPort, sshPort)
  }
)

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 60_000
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error('it never came to be')
    await sleep(50)
  }
}
