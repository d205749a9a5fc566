import { execFile } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'brittle'
import { formatLink } from '../../src/p2p/link.ts'
import type { Container, Shared, Stats } from './results.ts'
import { LONG, Sandbox, type Machine } from './sandbox.ts'
import { tinyRootfs } from './tiny-rootfs.ts'
import { until } from '../until.ts'

const run = promisify(execFile)
const MEBIBYTE = 1024 * 1024
/** A read brings along the blocks that follow, so only every n-th file is looked at. */
const FILES = 160
const APART = 8
/** Long beside what a command takes to start, and the unit of all that is waited for here. */
const TIMEOUT = '5s'

interface Waiting {
  readonly for: string
  readonly since: string
  readonly reads: string
}

for (const mode of ['erofs', 'fuse']) {
  for (const signal of ['SIGSTOP', 'SIGKILL'] as const) {
    test(
      `without peers reads fail after one time-out in all (${mode}, ${signal})`,
      LONG,
      async (t) => {
        await using sandbox = await Sandbox.open()
        const publisher = await sandbox.machine('publisher')
        const reader = await sandbox.machine('reader')
        const source = manyFiles(join(sandbox.directory, 'source'))
        const { link } = await publisher.json<Shared>('share', source)
        const directory = join(sandbox.directory, 'mnt')
        // Finding the publisher for the first time may take longer than the mount is to wait.
        await reader.ok('info', link)
        await reader.ok(
          ...['mount', link, directory, '--mount', mode, '--lazy-only'],
          ...['--on-peer-loss', 'fail', '--peer-timeout', TIMEOUT]
        )
        t.is(
          await sha256(join(directory, nameOf(0))),
          sumOf(source, nameOf(0)),
          'with a peer it reads'
        )
        const { pid } = await publisher.json<{ pid: number }>('daemon', 'status')
        process.kill(pid, signal)
        try {
          const ended: string[] = []
          const unit = timeouts(reader, 2, () => ended.push('time-out'))
          await t.exception(sha256(join(directory, 'large')), /Input\/output error/)
          ended.push('read')
          await unit
          t.ok(ended.indexOf('read') < 2, `it took less than two time-outs: ${ended.join(', ')}`)

          const one = timeouts(reader, 1, () => ended.push('third'))
          for (let n = APART; n < FILES; n += APART) {
            await t.exception(sha256(join(directory, nameOf(n))), /Input\/output error/)
          }
          t.absent(
            ended.includes('third'),
            'all others fail at once, and not after a time-out each'
          )
          await one
          t.is(
            await sha256(join(directory, nameOf(0))),
            sumOf(source, nameOf(0)),
            'what is here reads'
          )
        } finally {
          if (signal === 'SIGSTOP') process.kill(pid, 'SIGCONT')
          else await publisher.ok('daemon', 'start')
        }
        await untilReadable(join(directory, 'large'))
        for (const name of ['large', nameOf(APART), nameOf(FILES - 1)]) {
          t.is(
            await sha256(join(directory, name)),
            sumOf(source, name),
            'with a peer it reads again'
          )
        }
        await reader.ok('umount', directory)
      }
    )
  }
}

test('who waits for peers is seen, in the list, in figures and in the log', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const publisher = await sandbox.machine('publisher')
  const reader = await sandbox.machine('reader')
  const source = tinyRootfs(join(sandbox.directory, 'source'))
  writeFileSync(join(source, 'large'), randomBytes(4 * MEBIBYTE))
  const { link } = await publisher.json<Shared>('share', source)
  await reader.ok('boot', link, '-n', 'one', '-d', '--lazy-only', '--', 'sleep', '1000')
  const listed = async (): Promise<Waiting | null> =>
    (await reader.json<(Container & { waiting: Waiting | null })[]>('ps'))[0]?.waiting ?? null
  await reader.ok('exec', 'one', '--', 'cat', '/etc/passwd')
  t.is(await listed(), null, 'nobody waits')
  await publisher.ok('daemon', 'stop')
  const before = new Date().toISOString()
  const reading = reader.run('exec', 'one', '--', 'cat', '/large')
  let waiting: Waiting | null
  do waiting = await listed()
  while (waiting === null)
  t.is(waiting.for, 'peers')
  t.is(waiting.reads, 'wait')
  t.ok(waiting.since > before)
  t.ok((await reader.ok('ps')).includes(`running, waiting for peers since ${waiting.since}`))
  const stats = await reader.json<Stats & { waiting: Waiting }>('stats', 'one')
  t.is(stats.waiting.since, waiting.since)
  t.ok((await reader.ok('stats', 'one')).includes(`waiting for peers since ${waiting.since}`))
  const logged = (): Record<string, unknown>[] =>
    readFileSync(join(reader.home, 'daemon.log'), 'utf8')
      .split('\n')
      .filter((line) => line.includes('"name":"mounter"'))
      .map((line) => JSON.parse(line) as Record<string, unknown>)
  while (logged().length === 0) await new Promise((resolve) => setTimeout(resolve, 50))
  const [line] = logged()
  t.is(line?.['path'], '/large')
  t.is(typeof line?.['block'], 'number')
  await publisher.ok('daemon', 'start')
  t.is((await reading).exitCode, 0, 'the read went on')
  const nobodyWaits = async (): Promise<boolean> => (await listed()) === null
  await until(t, 'and it is seen that nobody waits any more', nobodyWaits)
})

test('figures of a container come while its daemon is gone, or hangs', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const machine = await sandbox.machine('machine')
  const { link } = await machine.json<Shared>(
    'share',
    tinyRootfs(join(sandbox.directory, 'source'))
  )
  await machine.ok('boot', link, '-n', 'one', '-d', '--', 'sleep', '1000')
  const whole = await machine.json<Stats>('stats', 'one')
  t.ok(whole.localBytes > 0 && whole.imageBytes > 0)
  const { pid } = await machine.json<{ pid: number }>('daemon', 'status')
  process.kill(pid, 'SIGSTOP')
  try {
    const hung = await machine.json<Stats>('stats', 'one')
    t.alike([hung.localBytes, hung.imageBytes], [null, whole.imageBytes], 'it hangs')
  } finally {
    process.kill(pid, 'SIGCONT')
  }
  await machine.ok('daemon', 'stop')
  t.is((await machine.json<Stats>('stats', 'one')).localBytes, null, 'it is gone')
  t.ok((await machine.ok('stats', 'one')).includes('dat-container daemon start'))
  await machine.ok('daemon', 'start')
  // The mount has still to find it.
  const figures = async (): Promise<number | null> =>
    (await machine.json<Stats>('stats', 'one')).localBytes
  while ((await figures()) === null) await sleep(100)
  t.is(await figures(), whole.localBytes, 'it is back')
})

/** Time-outs of the same length, one after the other, of somebody who looks for what nobody has. */
async function timeouts(machine: Machine, count: number, onEnd: () => void): Promise<void> {
  for (let n = 0; n < count; n++) {
    const absent = formatLink({ key: randomBytes(32), secret: randomBytes(32), version: 1 })
    const { exitCode } = await machine.run('info', absent, '--peer-timeout', TIMEOUT)
    if (exitCode !== 4) throw new Error(`looking for what nobody has ended with ${exitCode}`)
    onEnd()
  }
}

/** In another process: this one must stay able to answer. */
async function sha256(path: string): Promise<string> {
  const { stdout } = await run('sha256sum', [path])
  return stdout.split(' ')[0] ?? ''
}

function sumOf(source: string, name: string): string {
  return createHash('sha256')
    .update(readFileSync(join(source, name)))
    .digest('hex')
}

async function untilReadable(path: string): Promise<void> {
  while (
    await sha256(path).then(
      () => false,
      () => true
    )
  );
}

function nameOf(n: number): string {
  return `file-${String(n).padStart(3, '0')}`
}

function manyFiles(directory: string): string {
  mkdirSync(directory)
  for (let n = 0; n < FILES; n++) {
    writeFileSync(join(directory, nameOf(n)), randomBytes(100_000))
  }
  writeFileSync(join(directory, 'large'), randomBytes(8 * MEBIBYTE))
  return directory
}
