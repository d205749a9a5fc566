import { existsSync, readdirSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'brittle'
import { debianRootfs } from '../e2e/rootfs.ts'
import { Machine } from '../e2e/sandbox.ts'
import { findGuests } from '../machine/running-guests.ts'
import { cannotStart } from './guest.ts'
import { until } from '../until.ts'

interface Listed {
  readonly name: string
  readonly state: string
  readonly machine: string | null
}

// Five minutes of four machines; what it shares with other tests of machines is in those.
const reason =
  process.env['DAT_CONTAINER_TEST_SLOW'] === undefined
    ? 'slow: set DAT_CONTAINER_TEST_SLOW=1'
    : await cannotStart()
/** Machines boot in emulation. */
const SLOW = { withinMs: 600_000, pauseMs: 250 }
const BOOT_ID = '/proc/sys/kernel/random/boot_id'
/** Tells of earlier runs, and runs until a file is there. */
const UNTIL_END = 'echo began >> /log; cat /log; while [ ! -e /end ]; do sleep 1; done'
const SMALL = ['--machine-memory', '640M', '--machine-cpus', '1', '--machine-disk', '2G']

/** Real machines are started; without an image the reason stands in the output. */
void test(
  `containers with a machine to themselves${reason === undefined ? '' : ` (${reason})`}`,
  { timeout: 60 * 60_000, skip: reason !== undefined },
  async (t) => {
    const directory = await mkdtemp(join(tmpdir(), 'dat-isolated-'))
    t.teardown(() => rm(directory, { recursive: true, force: true }))
    const home = join(directory, 'home')
    const here = new Machine(home, {
      DAT_CONTAINER_BOOTSTRAP: '127.0.0.1:9',
      DAT_CONTAINER_RUNTIME_DIR: join(directory, 'run')
    })
    const machines = (): string[] => readdirSync(join(home, 'machines'))
    t.teardown(
      async () => {
        for (const name of machines()) await here.run('machine', 'rm', '--force', name)
        await here.run('daemon', 'stop')
      },
      { order: -1 }
    )
    await here.ok('share', debianRootfs(), '--name', 'debian')
    const boot = (name: string, ...more: string[]): string[] => [
      ...['boot', '--isolate', '-n', name, ...SMALL, 'debian', ...more]
    ]

    t.is((await here.run('boot', '--isolate', 'nothing', '--', 'true')).exitCode, 3, 'no image')
    for (const bad of [['--no-vm'], ['--machine', 'other']]) {
      t.is((await here.run('boot', '--isolate', ...bad, 'debian')).exitCode, 2, bad.join(' '))
    }

    const cut = here.start(boot('cut', '--', 'true'))
    const isStarting = (): boolean => existsSync(join(home, 'machines/cut/console.log'))
    await until(t, 'its machine is being started', isStarting, SLOW)
    cut.kill('SIGINT')
    t.is((await cut).exitCode, 130)
    t.alike(machines(), [], 'a start that is interrupted leaves nothing')

    const foreground = here.start(boot('fg', '--rm', '--', 'sleep', '1000'))
    await here.ok(...boot('one', '-d', '--', 'sh', '-c', UNTIL_END))
    const both = async (): Promise<boolean> => (await here.json<Listed[]>('ps')).length === 2
    await until(t, 'both run', both, SLOW)
    const listed = await here.json<Listed[]>('ps')
    t.alike(
      listed.map(({ name, state, machine }) => [name, state, machine]),
      [
        ['fg', 'running', 'fg'],
        ['one', 'running', 'one']
      ]
    )
    const kernels = await Promise.all(
      ['fg', 'one'].map((name) => here.ok('exec', name, '--', 'cat', BOOT_ID))
    )
    t.is(new Set(kernels).size, 2, 'two kernels')
    const { memoryMib } = await here.json<{ memoryMib: number }>('machine', 'status', 'one')
    t.is(memoryMib, 640)
    t.is((await here.json<Listed>('inspect', 'one')).state, 'running')
    t.is((await here.json<{ peers: number }>('stats', 'one')).peers, 1, 'this machine')
    t.is(await here.ok('logs', 'one'), 'began')
    t.is((await here.run(...boot('one', '--', 'true'))).exitCode, 1, 'the name is taken')
    t.is((await here.run('boot', '-n', 'one', 'debian', '--', 'true')).exitCode, 1, 'without, too')
    t.is((await here.run('rm', 'one')).exitCode, 1, 'it runs')

    // Whether a second is enough for it depends on the machine.
    const [stopped] = await here.json<{ name: string }[]>('stop', '-t', '1', 'one')
    t.is(stopped?.name, 'one')
    t.is(findGuests(directory).length, 1, 'its machine is gone')
    t.is(await here.ok('exec', 'fg', '--', 'cat', BOOT_ID), kernels[0], 'the other runs')
    const all = await here.json<Listed[]>('ps', '--all')
    t.alike(
      all.map(({ name, state }) => [name, state]),
      [
        ['fg', 'running'],
        ['one', 'stopped']
      ]
    )
    t.is((await here.run('exec', 'one', '--', 'true')).exitCode, 1)

    foreground.kill('SIGINT')
    t.is((await foreground).exitCode, 130)
    t.alike(machines(), ['one'], 'Ctrl-C leaves nothing')
    t.alike(findGuests(directory), [])

    await here.ok(...boot('one', '-d', '--', 'sh', '-c', UNTIL_END))
    t.is(await here.ok('exec', 'one', '--', 'cat', '/log'), 'began\nbegan', 'it kept its files')
    await here.ok('exec', 'one', '--', 'touch', '/end')
    t.is(findGuests(directory).length, 1)
    const isGone = (): boolean => findGuests(directory).length === 0
    await until(t, 'a detached container takes its machine with it', isGone, SLOW)
    await here.ok('rm', 'one')
    t.alike(machines(), [])
    t.alike(await here.json('ps', '--all'), [])
  }
)
