import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync
} from 'node:fs'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import test from 'brittle'
import { leftAfter, snapshot } from '../boot/leftovers.ts'
import type { Failure, Listed, Shared } from './results.ts'
import { LONG, messagesIn, Machine, Sandbox, type Ran } from './sandbox.ts'

/** Incompressible, so that a publish of it can be caught half-way on any machine. */
const LARGE_BYTES = 256 * 1024 * 1024

test('bad links, absent peers and missing things each say so in one line', LONG, async (t) => {
  const before = snapshot()
  {
    await using sandbox = await Sandbox.open()
    const source = tree(sandbox, 'source', { greeting: 'hello' })
    const publisher = await sandbox.machine('publisher')
    const machine = await sandbox.machine('reader')
    const { link } = await publisher.json<Shared>('share', source, '--name', 'greeting')
    const [, secret = ''] = link.split('#')
    const elsewhere = link.replace(/\/\/[^#]+/, `//${secret}`)

    const cases: [string, number, string, string[]][] = [
      ['a truncated link', 5, 'BAD_LINK', ['info', link.slice(0, -1)]],
      ['a link without its secret', 5, 'BAD_LINK', ['info', link.split('#')[0] ?? '']],
      ['half a key', 5, 'BAD_LINK', ['boot', link.slice(20)]],
      ['a secret of another image', 5, 'WRONG_SECRET', ['info', altered(link)]],
      ['the same at boot', 5, 'WRONG_SECRET', ['boot', altered(link), '--', 'true']],
      ['nobody has it', 4, 'PEERS_UNREACHABLE', ['boot', elsewhere, '--peer-timeout', '1']],
      ['nobody may be asked', 4, 'PEERS_UNREACHABLE', ['info', elsewhere, '--offline']],
      ['a version that is not', 3, 'NOT_FOUND', ['info', link.replace('#', '@9#')]],
      ['a path that is not', 3, 'NOT_FOUND', ['cat', link, '/nothing']],
      ['a name that is not', 3, 'NOT_FOUND', ['info', 'nothing']],
      ['a container that is not', 3, 'NOT_FOUND', ['exec', 'nothing', '--', 'true']],
      ['a directory that is not', 3, 'NOT_FOUND', ['share', '/nothing/here']],
      ['a file instead of a directory', 5, 'BAD_SOURCE', ['share', '/etc/passwd']],
      ['an image of others to update', 3, 'NOT_FOUND', ['share', source, '--update', link]],
      [
        'a mirror that finds nobody',
        4,
        'PEERS_UNREACHABLE',
        ['mirror', elsewhere, '--peer-timeout', '1']
      ]
    ]
    for (const [title, status, code, args] of cases) {
      const plain = await machine.run(...args)
      t.is(plain.exitCode, status, `${title}: exit status`)
      t.ok(isOneLine(plain), `${title}: ${plain.stderr}`)
      const json = await machine.run('--json', ...args)
      t.is((JSON.parse(json.stderr) as Failure).error.code, code, `${title}: code`)
    }
    for (const args of [
      ['exec', 'web', '--'],
      ['boot'],
      ['no-such-verb'],
      ['help', 'no-such-verb'],
      [],
      ['ls', '--nosuch']
    ]) {
      const plain = await machine.run(...args)
      t.is(plain.exitCode, 2, `usage: ${args.join(' ')}`)
      t.absent(
        plain.stderr.includes('put --'),
        'options of other commands have nothing to do with it'
      )
      const json = await machine.run('--json', ...args)
      t.is(json.exitCode, 2)
      t.is((JSON.parse(json.stderr) as Failure).error.code, 'USAGE')
    }
    // As where a variable of a script is not set: it would be the working directory.
    for (const args of [
      ['share', ''],
      ['mount', link, ''],
      ['umount', ''],
      ['export', link, 'tar', ''],
      ['--home', '', 'images']
    ]) {
      const empty = await machine.run(...args)
      t.is(empty.exitCode, 2, args.join(' '))
      t.ok(/an empty \S+ was given/.test(empty.stderr), empty.stderr)
    }
    const unknown = await machine.run('boot', link, 'echo', '--nosuch')
    t.ok(
      unknown.stderr.includes('put -- before the command: boot IMAGE -- COMMAND'),
      unknown.stderr
    )
    const behind = await machine.run('ls', link, '--', '--json')
    t.ok(behind.stderr.startsWith('dat-container: no --json in this image'), behind.stderr)
    t.is((await machine.run('info', link, '--peer-timeout', 'soon')).exitCode, 2, 'usage')
    t.is(await machine.ok('cat', link, '/greeting'), 'hello', 'and the right link works')
    t.alike(await machine.json('ps', '-a'), [], 'no container was half-made')
  }
  t.alike(await leftAfter(before), [], 'nothing is left')
})

test('no root and missing tools are said, with what mends it', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const source = tree(sandbox, 'source', { greeting: 'hello' })
  const machine = await sandbox.machine('only')
  const { link } = await machine.json<Shared>('share', source)

  const { sandboxEnvironment } = sandbox
  chmodSync(sandbox.directory, 0o755)
  const theirs = join(sandbox.directory, 'theirs')
  const runtime = join(sandbox.directory, 'run-theirs')
  for (const path of [theirs, runtime]) {
    mkdirSync(path, { mode: 0o700 })
    execFileSync('chown', ['65534:65534', path])
  }
  const asNobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups']
  const user = new Machine(
    theirs,
    { ...sandboxEnvironment, DAT_CONTAINER_RUNTIME_DIR: runtime },
    asNobody
  )
  t.is(await user.ok('cat', link, '/greeting'), 'hello', 'looking needs no root')
  for (const args of [
    ['boot', link],
    ['mount', link, '/mnt']
  ]) {
    const ran = await user.run(...args)
    t.is(ran.exitCode, 1)
    t.ok(isOneLine(ran) && ran.stderr.includes('root'), ran.stderr)
  }
  await user.run('daemon', 'stop')

  writeFileSync(join(source, 'true'), '#!/greeting\n', { mode: 0o755 })
  const runnable = await machine.json<Shared>('share', source, '--name', 'runnable')
  for (const tool of ['systemd-nspawn', 'setpriv']) {
    // In a mount namespace of its own the tool is not there; the rest of the machine keeps it.
    const hide = `mount --bind /dev/null "$(command -v ${tool})" && exec "$@"`
    const prefix = ['unshare', '--mount', 'sh', '-c', hide, 'sh']
    const bare = new Machine(machine.home, sandboxEnvironment, prefix)
    const ran = await bare.run('boot', runnable.link, '--', '/true')
    t.is(ran.exitCode, 1, tool)
    t.ok(isOneLine(ran) && ran.stderr.includes(tool) && /install/.test(ran.stderr), ran.stderr)
  }
  const checks = await machine.run('--json', 'doctor')
  t.ok((JSON.parse(checks.stdout) as { name: string }[]).length >= 8, 'doctor looks at it all')
})

test('a publish that fails or is killed leaves nothing, and can be run again', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const machine = await sandbox.machine('only')
  const source = tree(sandbox, 'source', { greeting: 'hello' })
  writeFileSync(join(source, 'large'), randomBytes(LARGE_BYTES))

  for (const signal of ['SIGKILL', 'SIGINT', 'SIGTERM'] as const) {
    const stored = storedBytes(machine)
    const sharing = machine.start(['share', source, '--name', 'source'])
    await underWay(sharing, machine, stored)
    sharing.kill(signal)
    const ran = (await sharing) as unknown as Ran
    t.ok(
      ran.exitCode === 130 || ran.signal === 'SIGKILL',
      `${signal}: ${ran.exitCode ?? ran.signal}`
    )
    t.alike(await machine.json('images'), [], `${signal}: nothing is listed`)
  }
  const { pid } = await machine.json<{ pid: number }>('daemon', 'start')
  const stored = storedBytes(machine)
  const doomed = machine.start(['share', source, '--name', 'source'])
  await underWay(doomed, machine, stored)
  process.kill(pid, 'SIGKILL')
  const orphaned = (await doomed) as unknown as Ran
  t.is(orphaned.exitCode, 1, 'the daemon was killed under it')
  t.ok(isOneLine(orphaned), orphaned.stderr)
  t.alike(await machine.json('images'), [], 'and nothing is listed')

  const shared = await machine.json<Shared>('share', source, '--name', 'source')
  t.is(shared.version, 1, 'and again: it works')
  const large = readFileSync(join(source, 'large'))
  writeFileSync(join(source, 'large'), randomBytes(LARGE_BYTES))
  const storedFirst = storedBytes(machine)
  const update = machine.start(['share', source, '--update', 'source', '--name', 'new'])
  await underWay(update, machine, storedFirst)
  update.kill('SIGKILL')
  await update
  t.is(await machine.ok('cat', 'source', '/greeting'), 'hello', 'the version before is whole')
  writeFileSync(join(source, 'large'), large)
  writeFileSync(join(source, 'greeting'), 'goodbye')
  const second = await machine.json<Shared>(
    'share',
    source,
    '--update',
    'source',
    '--name',
    'source'
  )
  t.is(second.version, 2)
  t.ok(second.newBytes < 100_000, `an update stores what is new: ${second.newBytes} bytes`)
  t.is(await machine.ok('cat', 'source', '/greeting'), 'goodbye')
  t.is(await machine.ok('cat', shared.link.replace('#', '@1#'), '/greeting'), 'hello')
})

test('a source that changes while it is read is refused', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const machine = await sandbox.machine('only')
  const source = tree(sandbox, 'source', { greeting: 'hello' })
  writeFileSync(join(source, 'a-large'), randomBytes(64 * 1024 * 1024))
  const path = join(source, 'z-growing')
  const growing = setInterval(() => writeFileSync(path, randomBytes(64), { flag: 'a' }), 5)
  const ran = await machine.run('share', source)
  clearInterval(growing)
  t.is(ran.exitCode, 1)
  t.ok(isOneLine(ran) && ran.stderr.includes('z-growing'), ran.stderr)
  t.alike(await machine.json<Listed[]>('images'), [])
})

test('a full disk is said, and what was published before is whole', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const home = join(sandbox.directory, 'small-home')
  mkdirSync(home)
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=160m,mode=700', 'tmpfs', home])
  const machine = await sandbox.machine('small-home')
  try {
    const little = tree(sandbox, 'little', { greeting: 'hello' })
    const large = tree(sandbox, 'large', {})
    writeFileSync(join(large, 'large'), randomBytes(200 * 1024 * 1024))
    const kept = await machine.json<Shared>('share', little, '--name', 'little')
    const ran = await machine.run('share', large)
    t.is(ran.exitCode, 1)
    t.ok(isOneLine(ran) && ran.stderr.includes('full'), ran.stderr)
    await machine.run('daemon', 'stop')
    t.is(await machine.ok('cat', kept.link, '/greeting'), 'hello', 'the other image is whole')
    t.alike(
      (await machine.json<Listed[]>('images')).map(({ name }) => name),
      ['little']
    )
  } finally {
    await machine.ok('daemon', 'stop')
    execFileSync('umount', [home])
    rmSync(home, { recursive: true })
  }
})

test(
  'a disk that fills up while fetching is said, and fetching goes on when it has room',
  LONG,
  async (t) => {
    await using sandbox = await Sandbox.open()
    const publisher = await sandbox.machine('publisher')
    const source = tree(sandbox, 'large', {})
    writeFileSync(join(source, 'large'), randomBytes(150 * 1024 * 1024))
    const { link } = await publisher.json<Shared>('share', source)
    const home = join(sandbox.directory, 'small-home')
    mkdirSync(home)
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=130m,mode=700', 'tmpfs', home])
    const reader = await sandbox.machine('small-home')
    try {
      const ran = await reader.run('pull', link)
      t.is(ran.exitCode, 1)
      t.ok(isOneLine(ran) && ran.stderr.includes('full'), ran.stderr)
      await reader.ok('daemon', 'stop')
      t.is((await reader.run('images')).exitCode, 0, 'the store opens on the full disk')
      execFileSync('mount', ['-o', 'remount,size=600m', home])
      t.is((await reader.json<{ complete: boolean }>('pull', link)).complete, true)
    } finally {
      await reader.ok('daemon', 'stop')
      execFileSync('umount', [home])
    }
  }
)

/** What the machine's store holds on disk, in bytes. */
function storedBytes(machine: Machine): number {
  const store = join(machine.home, 'store')
  if (!existsSync(store)) return 0
  return readdirSync(store, { recursive: true, encoding: 'utf8' })
    .map((path) => statSync(join(store, path), { throwIfNoEntry: false })?.size ?? 0)
    .reduce((sum, size) => sum + size, 0)
}

/** Waits until a publish has stored a part of its source: it is then neither at its start nor done. */
async function underWay(
  running: { exitCode?: number | null },
  machine: Machine,
  before: number
): Promise<void> {
  while (running.exitCode === null && storedBytes(machine) < before + LARGE_BYTES / 8) {
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/** Another secret of the right form. */
function altered(link: string): string {
  const [before = '', secret = ''] = link.split('#')
  const first = secret.startsWith('y') ? 'b' : 'y'
  return `${before}#${first}${secret.slice(1)}`
}

function isOneLine(ran: Ran): boolean {
  const [message = '', ...more] = messagesIn(ran.stderr)
  return message.startsWith('dat-container: ') && more.length === 0
}

function tree(sandbox: Sandbox, name: string, files: Record<string, string>): string {
  const directory = join(sandbox.directory, name)
  mkdirSync(directory)
  for (const [path, content] of Object.entries(files)) writeFileSync(join(directory, path), content)
  return directory
}
