import { execFileSync, spawn } from 'node:child_process'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'brittle'
import type { Container, Failure, Listed, Shared } from './results.ts'
import { debianRootfs } from './rootfs.ts'
import { LONG, MAIN, Sandbox, type Machine } from './sandbox.ts'
import { tinyRootfs } from './tiny-rootfs.ts'

interface Detailed extends Container {
  readonly exitCode: number | null
  readonly endedAt: string | null
  readonly createdAt: string
  readonly command: readonly string[]
}

const SLEEP = ['--', 'sleep', '600']

test(
  'what is granted is granted, and the host name is that which was asked for',
  LONG,
  async (t) => {
    await using sandbox = await Sandbox.open()
    const { machine } = await tiny(sandbox)
    const rights = async (...flags: string[]): Promise<bigint> => {
      const shown = await machine.ok(
        ...['boot', 'tiny', '--ephemeral', ...flags, '--', 'cat', '/proc/self/status']
      )
      return BigInt(`0x${/^CapBnd:\s+(\w+)$/m.exec(shown)?.[1]}`)
    }
    const CHOWN = 1n << 0n
    const KILL = 1n << 5n
    const NET_RAW = 1n << 13n
    t.is(await rights('--cap-drop', 'ALL'), 0n)
    t.is(
      await rights('--cap-drop', 'ALL', '--cap-add', 'NET_RAW', '--cap-add', 'kill'),
      NET_RAW | KILL
    )
    t.is(await rights('--cap-drop', 'all', '--cap-add', 'CAP_CHOWN'), CHOWN)
    t.is((await rights('--cap-drop', 'NET_RAW')) & (NET_RAW | CHOWN), CHOWN)

    const named = ['boot', 'tiny', '--ephemeral', '-it', '--hostname', 'asked']
    const print = ['--', 'sh', '-c', 'cat /etc/hostname /proc/sys/kernel/hostname']
    t.is(await machine.ok(...named, ...print), 'asked\nasked')
    t.is(await machine.ok(...named, '--read-only', ...print), 'asked\nasked')
    t.is(
      await machine.ok('boot', 'tiny', '--ephemeral', '--', 'cat', '/etc/hostname'),
      'of-the-image'
    )
  }
)

test('an init’s host name is that which was asked for', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const machine = await sandbox.machine('only')
  await machine.ok('share', debianRootfs(), '--name', 'debian')
  await machine.ok('boot', 'debian', '-n', 'one', '-d', '--wait', 'ready', '--hostname', 'asked')
  t.is(await machine.ok('exec', 'one', '--', 'hostname'), 'asked')
  await machine.ok('kill', 'one')
  t.is((await machine.json<Detailed>('inspect', 'one')).exitCode, 137, 'an init that was killed')
})

test('stop, kill, rm, inspect, stats and ps as users know them', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const { machine } = await tiny(sandbox)
  for (const name of ['a', 'b']) await machine.ok('boot', 'tiny', '-n', name, '-d', ...SLEEP)
  const stubborn = ['--', 'sh', '-c', 'trap "" TERM; while :; do sleep 1; done']
  await machine.ok('boot', 'tiny', '-n', 'stubborn', '-d', ...stubborn)

  t.alike(
    (await machine.json<Detailed[]>('inspect', 'a', 'b')).map(({ name }) => name),
    ['a', 'b']
  )
  t.alike(
    (await machine.json<{ name: string }[]>('stats', 'a', 'b')).map(({ name }) => name),
    ['a', 'b']
  )
  t.is((await machine.json<Detailed>('inspect', 'a')).name, 'a', 'of one, it is one')
  t.alike((await machine.json<Detailed>('inspect', 'a')).command, ['sleep', '600'])
  const some = await machine.run('inspect', 'a', 'none', 'b')
  t.is(some.exitCode, 3, 'one of three is not there')
  t.ok(some.stdout.includes('"name": "b"'), 'the others are told')

  const listed = (await machine.ok('ps')).split('\n')
  t.ok(/^NAME +IMAGE +COMMAND +STATE +SINCE +CREATED /.test(listed[0] ?? ''), listed[0])
  t.ok(/^a +tiny@1 +sleep 600 +running +\d+ \w+ ago +\d+ \w+ ago /.test(listed[1] ?? ''), listed[1])
  t.is(await machine.ok('ps', '-q'), 'a\nb\nstubborn')
  t.is(await machine.ok('ps', '-q', '--filter', 'command=sleep 600', '--filter', 'name=b'), 'b')
  t.is(
    await machine.ok('ps', '--filter', 'name=a', '--format', '{{.Name}} {{image}}@{{version}}'),
    'a tiny@1'
  )
  for (const flags of [
    ['--filter', 'shape=round'],
    ['--filter', 'name'],
    ['--format', '{{.Nme}}']
  ]) {
    t.is((await machine.run('ps', ...flags)).exitCode, 2, flags.join(' '))
  }

  t.is(await machine.ok('kill', 'a'), 'a (killed)')
  t.is((await machine.json<Detailed>('inspect', 'a')).exitCode, 137, 'killed')
  await machine.ok('stop', '-t', '1', 'stubborn')
  t.is((await machine.json<Detailed>('inspect', 'stubborn')).exitCode, 137, 'killed in the end')
  t.is(await machine.ok('stop', 'b'), 'b')
  const ended = await machine.json<Detailed>('inspect', 'b')
  t.is(ended.exitCode, 143, 'ended by the signal')
  t.ok(Date.parse(ended.endedAt ?? '') >= Date.parse(ended.createdAt))
  t.is(await machine.ok('stop', 'b', 'a'), 'b\na', 'what is stopped stays so')
  const again = await machine.run('kill', 'b')
  t.is(again.exitCode, 1)
  t.ok(
    /container b is stopped: it ended with status 143 at .*boot tiny -n b/.test(again.stderr),
    again.stderr
  )
  t.is((await machine.run('stop', 'none')).exitCode, 3)
  t.is(await machine.ok('ps', '-aq', '--filter', 'state=stopped'), 'a\nb\nstubborn')
  t.is(await machine.ok('rm', 'a', 'b', 'stubborn'), 'a\nb\nstubborn')

  await machine.ok('share', '-q', place(sandbox, 'second'))
  t.is((await machine.run('unseed', '--force', 'second', 'nothing', 'tiny')).exitCode, 3)
  t.alike(await machine.json<Listed[]>('images'), [], 'the others are gone')
})

test('an image in use is said so at once, and by whom', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const { machine } = await tiny(sandbox)
  await machine.ok('boot', 'tiny', '-n', 'user', '-d', ...SLEEP)
  const recorded = await machine.run(
    '--json',
    'boot',
    'tiny',
    '--record',
    '--ephemeral',
    '--',
    'true'
  )
  t.is(recorded.exitCode, 1)
  const { error } = JSON.parse(recorded.stderr) as Failure
  t.ok(error.message.includes('in use by container user'), error.message)
  await machine.ok('rm', '--force', 'user')
  await machine.ok('boot', 'tiny', '--record', '--ephemeral', '--', 'true')

  const mnt = join(sandbox.directory, 'mnt')
  await machine.ok('mount', 'tiny', mnt)
  const inside = spawn('sleep', ['600'], { cwd: join(mnt, 'etc') })
  try {
    const busy = await machine.run('umount', mnt)
    t.is(busy.exitCode, 1)
    t.ok(busy.stderr.includes(`in use by sleep (process ${inside.pid})`), busy.stderr)
  } finally {
    inside.kill('SIGKILL')
    await new Promise((resolve) => inside.once('close', resolve))
  }
  await machine.ok('umount', mnt)
})

test('messages say what is the case and what to do', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const { machine, link } = await tiny(sandbox)
  const empty = place(sandbox, 'empty')
  await machine.ok('share', empty, '--name', 'empty')
  for (const [args, status, said] of [
    [['boot', 'empty'], 127, /nor is any program .*it contains no programs/],
    [['boot', 'empty', '--boot'], 125, /neither an init nor any other program/],
    [['boot', 'empty', '--', 'sh'], 127, /"sh" is not in the container, nor is any program/],
    [['boot', 'tiny', '--boot'], 125, /no init to boot \(run a command instead: .* -- sh\)/],
    [['boot', 'tiny', '--ephemeral', 'ls', '-l'], 2, /put -- before the command/],
    [['info', `${link}@1`], 5, /after the secret \(put it before the #: dat:\/\/KEY@1#SECRET\)/]
  ] as const) {
    const ran = await machine.run(...args)
    t.is(ran.exitCode, status, args.join(' '))
    t.ok(said.test(ran.stderr), ran.stderr)
  }
})

test('output ends quietly, and tells times as others do', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const { machine } = await tiny(sandbox)
  const env = { ...process.env, ...sandbox.sandboxEnvironment, DAT_CONTAINER_HOME: machine.home }
  for (const verb of [
    ['export', 'tiny', 'tar', '-'],
    ['export', 'tiny', 'oci', '-'],
    ['cat', 'tiny', '/large']
  ]) {
    const [program, argv] = machine.argv(...verb)
    const script = 'set -o pipefail; "$@" 2>&1 >&3 3>&- | cat >&2'
    const shell = execFileSync(
      'bash',
      ['-c', `{ ${script}; } 3>&1 | head -c 10 | wc -c`, 'sh', program, ...argv],
      {
        env,
        stdio: ['ignore', 'pipe', 'pipe']
      }
    )
    t.is(shell.toString().trim(), '10', verb.join(' '))
  }

  for (const [TZ, time] of [
    ['UTC', '2021-02-03 04:05'],
    ['Asia/Tokyo', '2021-02-03 13:05']
  ] as const) {
    const ran = await machine.start(['ls', '-l', 'tiny', '/etc/dated'], { env: { ...env, TZ } })
    t.ok(String(ran.stdout).includes(time), String(ran.stdout))
  }

  // Options for Node.js among our own are ours, as whoever runs the command itself sees.
  const file = join(sandbox.directory, 'variables')
  writeFileSync(file, 'DAT_CONTAINER_HOME=/nowhere\n')
  const bin = join(sandbox.directory, 'bin')
  mkdirSync(bin)
  symlinkSync(MAIN, join(bin, 'dat-container'))
  const path = `${dirname(process.execPath)}:${process.env['PATH']}`
  for (const option of ['--env-file', '--env-file-if-exists']) {
    const words = ['boot', 'tiny', '--ephemeral', '--', 'sh', '-c', 'echo $0', `${option}=${file}`]
    const shown = execFileSync(join(bin, 'dat-container'), words, { env: { ...env, PATH: path } })
    t.is(shown.toString().trim(), `${option}=${file}`)
  }
})

async function tiny(sandbox: Sandbox): Promise<{ machine: Machine; link: string }> {
  const machine = await sandbox.machine('only')
  const source = tinyRootfs(join(sandbox.directory, 'source'))
  writeFileSync(join(source, 'etc/hostname'), 'of-the-image\n')
  writeFileSync(join(source, 'large'), Buffer.alloc(3_000_000, 'large'))
  writeFileSync(join(source, 'etc/dated'), '')
  execFileSync('touch', ['-d', '2021-02-03T04:05:06Z', join(source, 'etc/dated')])
  const { link } = await machine.json<Shared>('share', source, '--name', 'tiny')
  return { machine, link }
}

function place(sandbox: Sandbox, name: string): string {
  const path = join(sandbox.directory, name)
  mkdirSync(path)
  return path
}

test('logs tell when each line was written, and are JSON lines for scripts', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const machine = await sandbox.machine('machine')
  const { link } = await machine.json<Shared>('share', debianRootfs(), '--name', 'debian')
  const script = 'echo one; read line < /go; echo two; exec sleep 1000'
  const command = ['--', 'sh', '-c', `mkfifo /go; ${script}`]
  await machine.ok('boot', link, '-d', '-n', 'talks', ...command)
  while ((await machine.ok('logs', 'talks')) !== 'one') await sleep(50)
  const between = new Date().toISOString()
  await machine.ok('exec', 'talks', '--', 'sh', '-c', 'echo > /go')
  while ((await machine.ok('logs', 'talks')) !== 'one\ntwo') await sleep(50)
  t.is(await machine.ok('logs', '-n', '1', 'talks'), 'two')
  t.is(await machine.ok('logs', '--since', between, 'talks'), 'two')
  const timed = (await machine.ok('logs', '-t', 'talks')).split('\n').map((line) => line.split(' '))
  t.alike(
    timed.map(([, text]) => text),
    ['one', 'two']
  )
  const [one = '', two = ''] = timed.map(([time]) => time)
  t.ok(one < between && between < two, `${one} ${two}`)
  const documents = (await machine.ok('--json', 'logs', 'talks'))
    .split('\n')
    .map((line) => JSON.parse(line) as object)
  t.alike(documents, [
    { time: one, text: 'one' },
    { time: two, text: 'two' }
  ])
  await machine.ok('rm', '-f', 'talks')
})
