import test from 'brittle'
import { spawn } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { bootDetached } from '../../src/boot/runner/boot-detached.ts'
import type { ContainerOptions } from '../../src/boot/state/boot-options.ts'
import { inspectContainer, stopContainer } from '../../src/boot/containers/containers.ts'
import { execInContainer } from '../../src/boot/containers/exec.ts'
import { bootFixture } from '../boot/boot-fixture.ts'
import { tinyRootfs } from '../e2e/tiny-rootfs.ts'
import { LONG } from '../e2e/sandbox.ts'

const MAIN = fileURLToPath(new URL('../boot/foreground-main.js', import.meta.url))
const BEFORE = 'what was there before\n'
const WAYS: readonly [string, Partial<ContainerOptions>][] = [
  ['default options', {}],
  ['--private-users no', { privateUsers: 'no' }],
  ['--private-users no --cap-drop all', { privateUsers: 'no', capDrop: ['all'] }],
  ['--privileged', { privileged: true }]
]

/** Says of each stream what it is, then does to each what an open file of this machine would suffer from. */
const PROBE = `
kinds=
for n in 0 1 2; do kinds="$kinds $(stat -L -c "%F" /proc/self/fd/$n | tr " " -)"; done
for n in 0 1 2; do cat < /dev/null >> /proc/self/fd/$n; chmod 4777 /proc/self/fd/$n; done 2> /dev/null
for n in 0 1 2; do [ -f /proc/self/fd/$n ] && { : > /proc/self/fd/$n; }; done
echo; echo kinds$kinds
echo second >&2
echo third
`

interface Files {
  readonly input: string
  readonly output: string
  readonly error: string
}

async function files(t: { teardown(undo: () => Promise<void>): void }): Promise<Files> {
  const directory = mkdtempSync(join(tmpdir(), 'dc-streams-'))
  t.teardown(async () => rm(directory, { recursive: true }))
  const file = (name: string): string => {
    writeFileSync(join(directory, name), BEFORE, { mode: 0o644 })
    return join(directory, name)
  }
  return { input: file('input'), output: file('output'), error: file('error') }
}

function opened({ input, output, error }: Files): number[] {
  return [openSync(input, 'r+'), openSync(output, 'a'), openSync(error, 'a')]
}

for (const [way, options] of WAYS) {
  void test(`no file of this machine is a stream of a command: ${way}`, LONG, async (t) => {
    const rootfs = tinyRootfs(mkdtempSync(join(tmpdir(), 'dc-streams-')), ['stat', 'tr', 'chmod'])
    const { base } = bootFixture(t, '', rootfs)
    const given = await files(t)
    const container = { ...base, ...options, ephemeral: true, command: ['sh', '-c', PROBE] }
    const stdio = opened(given)
    const child = spawn(process.execPath, [MAIN], {
      env: { ...process.env, DAT_CONTAINER_TEST_OPTIONS: JSON.stringify(container) },
      stdio
    })
    for (const descriptor of stdio) closeSync(descriptor)
    const code = await new Promise((resolve) => child.once('close', resolve))
    const text = readFileSync(given.output, 'utf8')
    t.is(code, 0, `it runs: ${text} ${readFileSync(given.error, 'utf8')}`)
    t.ok(text.startsWith(BEFORE), 'it took nothing away')
    t.is(/^kinds (.*)$/m.exec(text)?.[1], 'fifo fifo fifo')
    t.ok(text.endsWith('third\n'), 'what it writes arrives')
    t.is(readFileSync(given.error, 'utf8'), `${BEFORE}second\n`)
    t.is(readFileSync(given.input, 'utf8'), BEFORE, 'nor changed it what it reads')
    for (const path of Object.values(given)) {
      const { mode, uid } = statSync(path)
      t.alike([mode & 0o7777, uid], [0o644, 0], 'mode and owner are as they were')
    }
  })

  void test(`a command does not have its log: ${way}`, LONG, async (t) => {
    const rootfs = tinyRootfs(mkdtempSync(join(tmpdir(), 'dc-log-')), ['stat', 'tr', 'chmod'])
    const { base, home } = bootFixture(t, '', rootfs)
    const told = `echo before; ${PROBE} sleep 1000`
    const container = { ...base, ...options, name: 'log', command: ['sh', '-c', told] }
    await bootDetached({ container })
    const { consoleLog } = await inspectContainer(home, 'log')
    let text = ''
    while (!text.includes('third')) {
      await new Promise((resolve) => setTimeout(resolve, 50))
      text = readFileSync(consoleLog, 'utf8')
    }
    t.is(text, 'before\n\nkinds fifo fifo fifo\nsecond\nthird\n', 'both streams, in order')
    const { mode, uid } = statSync(consoleLog)
    t.alike([mode & 0o7777, uid], [0o600, 0], 'and the log is this machine’s')
    await stopContainer({ home, name: 'log', timeoutMs: 0 })
  })
}

void test('control: a command that is handed a file empties it', LONG, async (t) => {
  const rootfs = tinyRootfs(mkdtempSync(join(tmpdir(), 'dc-control-')), ['stat', 'tr', 'chmod'])
  const { base, home } = bootFixture(t, '', rootfs)
  const given = await files(t)
  const container = { ...base, privateUsers: 'no' as const, name: 'c', command: ['sleep', '1000'] }
  await bootDetached({ container })
  const stdio = opened(given)
  await execInContainer({ home, name: 'c', argv: ['sh', '-c', PROBE], stdio })
  for (const descriptor of stdio) closeSync(descriptor)
  t.absent(readFileSync(given.output, 'utf8').includes(BEFORE), 'what was there is gone')
  t.is(statSync(given.output).mode & 0o7777, 0o4777, 'and it has another mode')
})
