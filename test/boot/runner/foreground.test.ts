import test from 'brittle'
import { spawn, type ChildProcess, type SpawnOptions } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { ContainerOptions } from '../../../src/boot/state/boot-options.ts'
import { listContainers } from '../../../src/boot/containers/containers.ts'
import { execInContainer } from '../../../src/boot/containers/exec.ts'
import { quoteForShell } from '../../../src/core/host/shell-quote.ts'
import { bootFixture } from '../boot-fixture.ts'

const MAIN = fileURLToPath(new URL('../foreground-main.js', import.meta.url))

interface Result {
  readonly code: number | null
  readonly stdout: Buffer
  readonly stderr: string
}

function start(container: ContainerOptions, options: SpawnOptions = {}): ChildProcess {
  const env = { ...process.env, DAT_CONTAINER_TEST_OPTIONS: JSON.stringify(container) }
  return spawn(process.execPath, [MAIN], { env, ...options })
}

async function finish(child: ChildProcess): Promise<Result> {
  const [out, err]: [Buffer[], Buffer[]] = [[], []]
  child.stdout?.on('data', (data: Buffer) => out.push(data))
  child.stderr?.on('data', (data: Buffer) => err.push(data))
  const code = await new Promise<number | null>((resolve) => {
    child.once('close', resolve)
  })
  return { code, stdout: Buffer.concat(out), stderr: Buffer.concat(err).toString() }
}

async function run(container: ContainerOptions, input?: Buffer): Promise<Result> {
  const child = start(container)
  child.stdin?.on('error', () => {})
  child.stdin?.end(input)
  return finish(child)
}

async function until(condition: () => Promise<boolean> | boolean): Promise<void> {
  while (!(await condition())) await sleep(30)
}

async function running(home: string): Promise<boolean> {
  return (await listContainers(home)).some(({ state }) => state === 'running')
}

void test('a command gets and gives exit codes, streams, environment, user, directory', async (t) => {
  const { base } = bootFixture(t)
  const sh = (script: string): ContainerOptions => ({
    ...base,
    ephemeral: true,
    command: ['sh', '-c', script]
  })
  t.is((await run(sh('exit 0'))).code, 0)
  t.is((await run(sh('exit 7'))).code, 7)
  t.is((await run({ ...base, ephemeral: true, command: ['/nowhere'] })).code, 127)
  t.is((await run({ ...base, ephemeral: true, command: ['/etc/passwd'] })).code, 126)
  const refused = await run({ ...base, ephemeral: true, command: ['true'], user: 'nobody-here' })
  t.is(refused.code, 125)
  t.is(refused.stderr, 'NOT_FOUND: the container has no user "nobody-here"\n')

  const streams = await run(sh('echo out; echo err >&2'))
  t.is(streams.stdout.toString(), 'out\n')
  t.is(streams.stderr, 'err\n')

  const told = await run({
    ...sh('id -un; pwd; echo $GREETING; cat /proc/1/comm; hostname'),
    env: ['GREETING=hello world'],
    user: 'daemon',
    cwd: '/var',
    name: 'told'
  })
  t.alike(told.stdout.toString().split('\n').slice(0, 3), ['daemon', '/var', 'hello world'])
})

void test('a megabyte of random bytes goes through a command unchanged', async (t) => {
  const { base } = bootFixture(t)
  const input = randomBytes(1024 * 1024)
  const { stdout, code } = await run({ ...base, ephemeral: true, command: ['cat'] }, input)
  t.is(code, 0)
  const digest = (data: Buffer): string => createHash('sha256').update(data).digest('hex')
  t.is(digest(stdout), digest(input))
})

void test('a command on a terminal has one of its own', async (t) => {
  const { base } = bootFixture(t)
  const container = { ...base, ephemeral: true, command: ['sh', '-c', 'test -t 0 && tty; exit 5'] }
  const command = [process.execPath, MAIN].map(quoteForShell).join(' ')
  const env = { ...process.env, DAT_CONTAINER_TEST_OPTIONS: JSON.stringify(container) }
  const child = spawn('script', ['-qec', command, '/dev/null'], {
    env,
    stdio: ['pipe', 'pipe', 'pipe']
  })
  const { code, stdout } = await finish(child)
  t.is(code, 5)
  t.ok(/\/dev\/(pts\/\d+|console)/.test(stdout.toString()), stdout.toString())
})

void test('Ctrl-C and termination reach a command, which may end as it likes', async (t) => {
  const { base, home } = bootFixture(t)
  for (const [signal, trap, expected] of [
    ['SIGINT', 'trap "exit 42" INT', 42],
    ['SIGTERM', 'trap "exit 43" TERM', 43],
    ['SIGTERM', ':', 143]
  ] as const) {
    const script = `${trap}; echo ready; while :; do sleep 0.1; done`
    const child = start({ ...base, ephemeral: true, command: ['sh', '-c', script] })
    const finished = finish(child)
    await new Promise((resolve) => child.stdout?.once('data', resolve))
    child.kill(signal)
    t.is((await finished).code, expected, `${signal} ${trap}`)
    t.alike(await listContainers(home, { all: true }), [])
  }
})

void test('termination stops a booted container in order; its files stay', async (t) => {
  const { base, home } = bootFixture(t)
  const container = { ...base, name: 'kept' }
  for (const content of ['one', 'two']) {
    const child = start(container)
    const finished = finish(child)
    await until(() => running(home))
    const argv = ['sh', '-c', `cat /root/kept 2>/dev/null; echo ${content} >> /root/kept`]
    t.is(await execInContainer({ home, name: 'kept', argv, stdio: 'ignore' }), 0)
    child.kill('SIGTERM')
    const { code } = await finished
    t.is(code, 0)
  }
  const { stdout } = await run({ ...container, command: ['cat', '/root/kept'] })
  t.is(stdout.toString(), 'one\ntwo\n')
  const elsewhere = await run({ ...base, ephemeral: true, command: ['cat', '/root/kept'] })
  t.not(elsewhere.code, 0, 'another container does not see them')
})

void test('a read-only root cannot be written to; an ephemeral one forgets', async (t) => {
  const { base, home } = bootFixture(t)
  const command = ['sh', '-c', 'touch /written && test -e /written']
  t.not((await run({ ...base, name: 'fixed', readOnly: true, remove: true, command })).code, 0)
  t.is((await run({ ...base, name: 'brief', ephemeral: true, command })).code, 0)
  t.alike(await listContainers(home, { all: true }), [])
  t.absent(existsSync(`${home}/containers/brief`))
})

void test('Ctrl-C at every stage of a start undoes it', async (t) => {
  process.env['DAT_CONTAINER_TEST_OPEN_MS'] = '300'
  const { base, home } = bootFixture(t)
  let cancelled = 0
  try {
    for (const delayMs of [150, 300, 420, 480, 520, 560, 600, 700]) {
      const child = start({ ...base, name: 'early', ephemeral: true })
      const finished = finish(child)
      await sleep(delayMs)
      child.kill('SIGINT')
      // Before the program has set up anything, the signal simply ends it: no code.
      const { code, stderr } = await finished
      const isCancelled = code === 125 && stderr.startsWith('CANCELLED')
      if (isCancelled) cancelled++
      // 130: its init ran already.
      t.ok(
        [null, 130].includes(code) || isCancelled,
        `after ${delayMs} ms: ended with ${code}, ${stderr}`
      )
      t.alike(await listContainers(home, { all: true }), [])
    }
    t.ok(cancelled > 0, `${cancelled} starts were cut short`)
  } finally {
    delete process.env['DAT_CONTAINER_TEST_OPEN_MS']
  }
})
