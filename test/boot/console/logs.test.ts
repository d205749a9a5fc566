import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'brittle'
import { ConsoleWriter } from '../../../src/boot/console/console-writer.ts'
import { logLines, type LogLine } from '../../../src/boot/console/log-lines.ts'
import { readLogs, type ReadLogsOptions } from '../../../src/boot/console/logs.ts'
import { bootPaths, containerPaths } from '../../../src/boot/state/paths.ts'
import { identify } from '../../../src/core/host/process-table.ts'
import type { ContainerState } from '../../../src/boot/state/container-record.ts'

const SEGMENT_BYTES = 1000

interface Fixture {
  readonly home: string
  readonly log: string
  readonly write: (text: string) => void
  readonly read: (options?: Partial<ReadLogsOptions>) => Promise<string>
  readonly lines: (options?: Partial<ReadLogsOptions>) => Promise<LogLine[]>
}

function fixture(t: { teardown(undo: () => void): void }, before = ''): Fixture {
  const home = mkdtempSync(join(tmpdir(), 'dat-logs-'))
  const { consoleLog: log, upper } = containerPaths(bootPaths(home), 'one')
  mkdirSync(dirname(log), { recursive: true })
  mkdirSync(upper)
  if (before !== '') writeFileSync(log, before)
  const writer = new ConsoleWriter(log, { segmentBytes: SEGMENT_BYTES })
  t.teardown(() => {
    writer[Symbol.dispose]()
    rmSync(home, { recursive: true })
  })
  return {
    home,
    log,
    write: (text) => writer.write(Buffer.from(text)),
    async read(options = {}) {
      const parts: Buffer[] = []
      for await (const { data } of readLogs({ home, name: 'one', ...options })) parts.push(data)
      return Buffer.concat(parts).toString()
    },
    async lines(options = {}) {
      const lines: LogLine[] = []
      for await (const line of logLines(readLogs({ home, name: 'one', ...options }))) {
        lines.push(line)
      }
      return lines
    }
  }
}

void test('a log that has grown large is set aside, and read as one', async (t) => {
  const { log, write, read } = fixture(t)
  t.is(await read(), '', 'nothing was written')
  const written = Array.from({ length: 200 }, (_, n) => `line ${n}\n`)
  for (const line of written) write(line)
  const names = readdirSync(dirname(log)).filter((name) => !name.endsWith('.times'))
  t.alike(names.toSorted(), ['console.log', 'console.log.1', 'upper'], 'two files of 1000 bytes')
  t.is(await read(), written.join(''))
  for (const lines of [0, 1, 5, 100, 150, 199, 200, 300]) {
    t.is(
      await read({ tail: lines }),
      written.slice(lines === 0 ? 200 : -lines).join(''),
      `${lines} lines`
    )
  }
  for (const line of written) write(line)
  for (const line of written) write(line)
  const left = readdirSync(dirname(log)).filter((name) => /^console\.log(\.\d)?$/.test(name))
  t.is(left.length, 3, 'no more than three are kept')
  for (const name of left) t.ok(statSync(join(dirname(log), name)).size <= SEGMENT_BYTES, name)
  t.ok(`${written.join('')}${written.join('')}`.endsWith(await read()), 'the youngest of it')
})

void test('lines have the time at which they were begun', async (t) => {
  const { write, read, lines } = fixture(t, 'of an older release\n')
  const times: number[] = []
  for (const text of ['first\nsecond\n', 'third', ' goes on\nfourth']) {
    await sleep(120)
    times.push(Date.now())
    write(text)
  }
  const found = await lines()
  t.alike(
    found.map(({ text, isWhole }) => [text.toString(), isWhole]),
    [
      ['of an older release', true],
      ['first', true],
      ['second', true],
      ['third goes on', true],
      ['fourth', false]
    ]
  )
  const [unknown, ...known] = found.map(({ timeMs }) => timeMs)
  t.is(unknown, undefined, 'no time was noted')
  const [one = 0, two = 0, three = 0] = times
  const spans = [
    [one, two],
    [one, two],
    [two, three],
    [three, Infinity]
  ] as const
  for (const [index, [from, to]] of spans.entries()) {
    const time = known[index] ?? 0
    t.ok(time >= from && time < to, `${index}: ${time} is from ${from} to ${to}`)
  }
  t.is(await read({ sinceMs: two }), 'third goes on\nfourth')
  t.is(await read({ sinceMs: two, tail: 1 }), 'fourth', 'the later of both')
  t.is(await read({ sinceMs: one, tail: 5 }), 'first\nsecond\nthird goes on\nfourth')
  t.is(await read({ sinceMs: Date.now() + 1_000 }), '', 'nothing since')
})

void test('who follows misses nothing when a log is set aside', async (t) => {
  const { home, write, read } = fixture(t)
  const { state } = containerPaths(bootPaths(home), 'one')
  mkdirSync(dirname(state), { recursive: true })
  // It is taken for running as long as this process lives.
  writeFileSync(state, JSON.stringify(runningHere('one')))
  const ending = new AbortController()
  const following = read({ follow: true, signal: ending.signal })
  const written: string[] = []
  for (let n = 0; n < 500; n++) {
    written.push(`line ${n}\n`)
    write(`line ${n}\n`)
    if (n % 20 === 19) await sleep(100)
  }
  ending.abort()
  t.is(await following, written.join(''))
  t.not(await read(), written.join(''), 'not all of it is kept')
})

/** The state of a container that this process runs. */
function runningHere(name: string): ContainerState {
  return {
    name,
    state: 'running',
    link: 'dat://key#secret',
    key: 'key',
    version: 1,
    image: 'image',
    mode: 'process',
    ephemeral: false,
    readOnly: false,
    mountMode: 'erofs',
    rootfs: '/nowhere',
    mounterSocket: '/nowhere/socket',
    startedAt: new Date().toISOString(),
    timings: {},
    marks: { commandMs: 0 },
    runner: identify(process.pid)!,
    cgroups: []
  }
}
