import { randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'brittle'
import { leftAfter, snapshot } from '../boot/leftovers.ts'
import { debianRootfs } from './rootfs.ts'
import type { Container, Listed, Shared } from './results.ts'
import { until } from '../until.ts'
import { LONG, messagesIn, Sandbox, type Machine, type Ran } from './sandbox.ts'

/** Milliseconds from the start of a command: from before it has read its arguments to well after. */
const MOMENTS_MS = [100, 300, 450, 600, 900, 1300]
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGKILL'] as const
const CODES = { SIGINT: [130], SIGTERM: [130, 143], SIGKILL: [] as number[] }
type Signal = (typeof SIGNALS)[number]

interface Interrupted {
  readonly exitCode: number | undefined
  readonly signal: string | undefined
  readonly stderr: string
  /** It had said that what it was asked for is there, when it ended. */
  readonly hasTold: boolean
}

async function interrupt(
  machine: Machine,
  args: string[],
  { signal, afterMs, again = 0 }: { signal: Signal; afterMs: number; again?: number }
): Promise<Interrupted> {
  // execa would make SIGKILL of a SIGTERM that takes its time.
  const running = machine.start(args, {
    forceKillAfterDelay: false,
    // A container that outlives its killed runner has its streams; the next command ends it.
    ...(signal === 'SIGKILL' ? { stdout: 'ignore', stderr: 'ignore' } : {})
  })
  await sleep(afterMs)
  running.kill(signal)
  for (let times = 0; times < again; times++) {
    await Promise.race([running, sleep(700)])
    running.kill(signal)
  }
  const { exitCode, signal: killer, stdout, stderr } = (await running) as unknown as Ran
  return { exitCode, signal: killer, stderr: stderr ?? '', hasTold: Boolean(stdout) }
}

/** How an interrupted command may end; `finished`: statuses it has when it was done before. */
function endedWell(
  { exitCode, signal, stderr }: Interrupted,
  sent: Signal,
  finished: readonly number[]
): boolean {
  if (sent === 'SIGKILL' && exitCode === undefined) return signal === sent
  const lines = messagesIn(stderr)
  // Before a program has set up anything, the signal simply ends it.
  if (exitCode === undefined) return signal === sent && lines.length === 0
  const said = lines.filter((line) => line.startsWith('dat-container: '))
  const expected: readonly number[] = [...CODES[sent], ...finished]
  return expected.includes(exitCode) && said.length <= 1 && lines.length <= 1
}

test('a signal at every moment of a boot leaves nothing', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const machine = await sandbox.machine('only')
  const { link } = await machine.json<Shared>('share', debianRootfs(), '--name', 'debian')
  for (const signal of SIGNALS) {
    await t.test(signal, async (t) => interruptBoots(t, machine, link, signal))
  }
})

async function interruptBoots(
  t: ReturnType<typeof test>,
  machine: Machine,
  link: string,
  signal: Signal
): Promise<void> {
  const before = snapshot()
  const ways: [title: string, args: string[], finished: number[]][] = [
    ['boot', [link, '--ephemeral'], signal === 'SIGTERM' ? [0] : []],
    ['a command', [link, '--ephemeral', '--', 'sleep', '1000'], []],
    ['detached', [link, '--ephemeral', '-d', '--wait', 'ready'], [0]]
  ]
  for (const [title, args, finished] of ways) {
    for (const afterMs of MOMENTS_MS) {
      const ended = await interrupt(machine, ['boot', ...args], { signal, afterMs })
      const how = `${title}, ${afterMs} ms: ${ended.exitCode ?? ended.signal} ${ended.stderr}`
      t.ok(endedWell(ended, signal, finished), how)
      // The signal may also come between its last line and its end. After SIGKILL it may have heard that the container
      // runs, and not have said so.
      const isThere = ended.exitCode === 0 || (title === 'detached' && ended.hasTold)
      const mayBeThere = isThere || (title === 'detached' && signal === 'SIGKILL')
      const name = mayBeThere ? await onlyName(machine) : 'none'
      if (name !== 'none') await machine.run('rm', '-f', name)
    }
  }
  // Only after SIGKILL is there anything for it to sweep.
  if (signal === 'SIGKILL') await machine.ok('ps')
  const left = await leftAfter(before)
  t.alike(left, [], 'nothing is left')
  t.alike(await machine.json('ps', '--all'), [], 'no container is known')
  t.alike(readdirSync(join(machine.home, 'containers')), [], 'nor has one files')
}

async function onlyName(machine: Machine): Promise<string> {
  return (await machine.json<Container[]>('ps'))[0]?.name ?? 'none'
}

test('interrupted while it looks for peers or waits for a read', LONG, async (t) => {
  const before = snapshot()
  {
    await using sandbox = await Sandbox.open()
    const publisher = await sandbox.machine('publisher')
    const reader = await sandbox.machine('reader')
    const { link } = await publisher.json<Shared>('share', debianRootfs(), '--name', 'debian')
    const [key = ''] = link.split('#')
    const absent = link.replace(/dat:\/\/.{20}/, key.slice(0, 6) + 'y'.repeat(20))
    for (const signal of SIGNALS) {
      for (const [verb, ...rest] of [
        ['boot'],
        ['boot', '-d'],
        ['mount', sandbox.directory + '/m']
      ]) {
        const args = [verb ?? '', absent, ...rest, '--peer-timeout', '60']
        const ended = await interrupt(reader, args, { signal, afterMs: 1000 })
        t.ok(endedWell(ended, signal, []), `${verb} without peers: ${JSON.stringify(ended)}`)
      }
    }

    // Mounted with hardly any content here; then nobody is there to give more.
    const directory = join(sandbox.directory, 'mnt')
    await reader.ok('mount', link, directory, '--lazy-only')
    await publisher.ok('daemon', 'stop')
    for (const signal of SIGNALS) {
      for (const rest of [[], ['--', 'sh'], ['-d', '--wait', 'ready']]) {
        const args = ['boot', link, '--ephemeral', ...rest]
        // Whoever does not want to wait for an orderly end asks again.
        const ended = await interrupt(reader, args, { signal, afterMs: 1500, again: 3 })
        t.ok(endedWell(ended, signal, []), `${args.slice(2).join(' ')}: ${JSON.stringify(ended)}`)
      }
    }
    // The runner of one that was abandoned has still to notice that its start gets nowhere.
    const known = (): Promise<Container[]> => reader.json<Container[]>('ps', '--all')
    await until(t, 'no container is known', async () => (await known()).length === 0)
    t.is((await reader.run('umount', directory)).exitCode, 0, 'the mount outlived them')
    await publisher.ok('daemon', 'start')
  }
  t.alike(await leftAfter(before), [], 'nothing is left')
})

test('mount and share, interrupted at many moments, leave nothing', LONG, async (t) => {
  const before = snapshot()
  {
    await using sandbox = await Sandbox.open()
    const machine = await sandbox.machine('only')
    const { link } = await machine.json<Shared>('share', debianRootfs(), '--name', 'debian')
    const directory = join(sandbox.directory, 'mnt')
    const source = join(sandbox.directory, 'source')
    mkdirSync(source)
    // Enough that none of these moments is too late.
    writeFileSync(join(source, 'large'), randomBytes(384 * 1024 * 1024))
    for (const signal of SIGNALS) {
      for (const afterMs of MOMENTS_MS.slice(0, 5)) {
        const ended = await interrupt(machine, ['mount', link, directory], { signal, afterMs })
        t.ok(endedWell(ended, signal, [0]), `mount, ${afterMs} ms: ${JSON.stringify(ended)}`)
        // It may have been done, and the one who asked for it has died before it heard so.
        const umount = await machine.run('umount', directory)
        if (ended.exitCode === 130) t.is(umount.exitCode, 3, 'an interrupted mount is not there')
      }
      for (const afterMs of [100, 500, 800]) {
        const ended = await interrupt(machine, ['share', source], { signal, afterMs })
        t.ok(endedWell(ended, signal, []), `share, ${afterMs} ms: ${JSON.stringify(ended)}`)
      }
    }
    const names = (await machine.json<Listed[]>('images')).map(({ name }) => name)
    t.alike(names, ['debian'], 'no image is half-published')
  }
  t.alike(await leftAfter(before), [], 'nothing is left')
})

test('a mounter killed under a container; a container that powers itself off', LONG, async (t) => {
  const before = snapshot()
  {
    await using sandbox = await Sandbox.open()
    const machine = await sandbox.machine('only')
    const { link } = await machine.json<Shared>('share', debianRootfs(), '--name', 'debian')
    const boot = ['boot', link, '-d', '--wait', 'ready']
    for (const mode of ['erofs', 'fuse']) {
      await machine.ok(...boot, '-n', 'bereft', '--mount', mode)
      process.kill(mounterPid(sandbox), 'SIGKILL')
      await machine.ok('rm', '-f', 'bereft')
      t.alike(await machine.json('ps', '--all'), [], `${mode}: removed without its mounter`)
    }
    await machine.ok(...boot, '-n', 'done')
    // The exec may be cut off by what it asks for.
    await machine.run('exec', 'done', '--', 'systemctl', 'poweroff')
    const running = (): Promise<Container[]> => machine.json<Container[]>('ps')
    await until(t, 'it is not running any more', async () => (await running()).length === 0)
    const [ended] = await machine.json<(Container & { exitCode: number })[]>('ps', '--all')
    t.alike([ended?.state, ended?.exitCode], ['stopped', 0], 'it powered itself off')
    const foreground = machine.start(['boot', 'debian', '-n', 'done'])
    while ((await machine.run('exec', 'done', '--', 'systemctl', 'poweroff')).exitCode !== 0) {
      await sleep(250)
    }
    t.is((await foreground).exitCode, 0, 'and the command that ran it returned')
    await machine.ok('rm', 'done')
  }
  t.alike(await leftAfter(before), [], 'nothing is left')
})

function mounterPid(sandbox: Sandbox): number {
  const runtime = join(sandbox.directory, 'run')
  // Not below `containers`: what is in one comes and goes.
  const [state = ''] = readdirSync(runtime).flatMap((id) =>
    readdirSync(join(runtime, id, 'mounts')).map((name) => join(id, 'mounts', name, 'state.json'))
  )
  return (JSON.parse(readFileSync(join(runtime, state), 'utf8')) as { pid: number }).pid
}
