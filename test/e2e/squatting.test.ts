import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync
} from 'node:fs'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'brittle'
import { execa } from 'execa'
import { formatLink } from '../../src/p2p/link.ts'
import { LONG } from './sandbox.ts'
import { until } from '../until.ts'

const MAIN = fileURLToPath(new URL('../../../dist/main.js', import.meta.url))
const ATTACKER = 65_534
/** Has no name, no session and no runtime directory. */
const VICTIM = 4_242
const LINK = formatLink({
  key: randomBytes(32),
  secret: randomBytes(32),
  version: undefined
})
const SECRET = LINK.split('#')[1] ?? ''

/** Listens where it is told to, and keeps all that it hears. */
const LISTENER = `
const { createServer } = require('node:net')
const { appendFileSync } = require('node:fs')
const [socket, heard] = process.argv.slice(1)
process.umask(0)
createServer((client) => client.on('data', (data) => appendFileSync(heard, data)))
  .listen(socket, () => process.stdout.write('listening'))
`

const canRun = process.getuid?.() === 0 && mayReadProgram()

test(
  'a directory that another user squatted takes no link',
  { ...LONG, skip: !canRun },
  async (t) => {
    const place = mkdtempSync(join(tmpdir(), 'dat-squat-'))
    chmodSync(place, 0o755)
    const home = join(place, 'home')
    ownDirectory(home, VICTIM)
    const id = createHash('sha256').update(home).digest('hex').slice(0, 12)
    const inTmp = `/tmp/dat-container-${VICTIM}`
    const handed = join(place, 'handed')
    const open = join(place, 'open')
    ownDirectory(open, VICTIM)
    chmodSync(open, 0o777)
    const linked = join(place, 'linked')
    const cases: [string, string, Record<string, string>, (root: string) => void][] = [
      ['the directory in /tmp', inTmp, {}, (root) => squat(root, 0o777)],
      ['one of 0755 in /tmp', inTmp, {}, (root) => squat(root, 0o755)],
      [
        'a symbolic link in /tmp',
        inTmp,
        {},
        (root) => {
          squat(linked, 0o777)
          asAttacker('ln', '-s', linked, root)
        }
      ],
      [
        'a directory of the user that all may write to',
        join(open, 'run'),
        { DAT_CONTAINER_RUNTIME_DIR: join(open, 'run') },
        (root) => squat(root, 0o777)
      ],
      [
        'one that was handed over',
        handed,
        { DAT_CONTAINER_RUNTIME_DIR: handed },
        (root) => {
          mkdirSync(root)
          chownSync(root, ATTACKER, ATTACKER)
          chmodSync(root, 0o777)
        }
      ]
    ]
    for (const [title, root, environment, prepare] of cases) {
      rmSync(inTmp, { recursive: true, force: true })
      rmSync(linked, { recursive: true, force: true })
      prepare(root)
      const directory = join(root, root === inTmp ? 'dat-container' : '', id)
      asAttacker('mkdir', '-m', '777', '-p', directory)
      asAttacker('chmod', '777', join(directory, '..'), directory)
      const socket = join(directory, 'daemon.sock')
      const heard = join(place, 'heard')
      rmSync(heard, { force: true })
      execFileSync('install', ['-m', '666', '-o', `${ATTACKER}`, '/dev/null', heard])
      const listener = await listen(socket, heard)
      try {
        const ran = await runAs(VICTIM, ['info', LINK, '--peer-timeout', '1'], {
          home,
          ...environment
        })
        t.is(ran.exitCode, 1, `${title}: ${ran.stderr}`)
        t.ok(/is not safe to use/.test(ran.stderr), `${title}: says why`)
        t.absent(readFileSync(heard, 'utf8').includes(SECRET), `${title}: nothing was heard`)
        // The probe works: a client that does not look sends its link there.
        execFileSync('setpriv', [
          ...identity(VICTIM),
          ...[process.execPath, '-e'],
          'require("node:net").connect(process.argv[1]).end(process.argv[2])',
          ...[socket, LINK]
        ])
        const hasHeard = (): boolean => readFileSync(heard, 'utf8').includes(SECRET)
        await until(t, `${title}: the attacker hears who does not look`, hasHeard)
      } finally {
        listener.kill()
        await once(listener, 'exit')
      }
    }
    rmSync(inTmp, { recursive: true, force: true })
    const ran = await runAs(VICTIM, ['daemon', 'status'], { home })
    t.is(ran.exitCode, 3, `with nobody in the way it works: ${ran.stderr}`)
    t.is(lstatSync(join(inTmp, 'dat-container', id)).mode & 0o7777, 0o700, 'in a directory of 0700')
    rmSync(inTmp, { recursive: true, force: true })
    rmSync(place, { recursive: true, force: true })
  }
)

test(
  'the session’s runtime directory is preferred, and used only where it is the user’s',
  { ...LONG, skip: !canRun },
  async (t) => {
    const place = mkdtempSync(join(tmpdir(), 'dat-session-'))
    chmodSync(place, 0o755)
    const home = join(place, 'home')
    const own = join(place, 'own')
    const foreign = join(place, 'foreign')
    ownDirectory(home, VICTIM)
    ownDirectory(own, VICTIM)
    ownDirectory(foreign, ATTACKER)
    const inTmp = `/tmp/dat-container-${VICTIM}`
    rmSync(inTmp, { recursive: true, force: true })
    const status = ['daemon', 'status']
    await runAs(VICTIM, status, { home, XDG_RUNTIME_DIR: own })
    t.ok(existsSync(join(own, 'dat-container')), 'the session’s own is used')
    t.absent(existsSync(inTmp), 'and nothing in /tmp')
    const ran = await runAs(VICTIM, status, { home, XDG_RUNTIME_DIR: foreign })
    t.is(ran.exitCode, 3, 'that of another user’s session, as su leaves it, is passed over')
    t.is(statSync(inTmp).uid, VICTIM, 'for one of its own')
    rmSync(inTmp, { recursive: true, force: true })
    rmSync(place, { recursive: true, force: true })
  }
)

test('a home is its user’s alone', { ...LONG, skip: !canRun }, async (t) => {
  const place = mkdtempSync(join(tmpdir(), 'dat-home-'))
  chmodSync(place, 0o755)
  const XDG_RUNTIME_DIR = join(place, 'run')
  ownDirectory(XDG_RUNTIME_DIR, VICTIM)
  const run = async (home: string) => runAs(VICTIM, ['daemon', 'status'], { home, XDG_RUNTIME_DIR })
  const cases: [string, number, (home: string) => void][] = [
    ['one that all may read, and empty', 3, (home) => chmodSync(home, 0o755)],
    ['one that all may write to', 1, (home) => chmodSync(home, 0o777)],
    ['one of another user', 1, (home) => chownSync(home, ATTACKER, ATTACKER)],
    [
      'one that all may read, with other things in it',
      1,
      (home) => {
        chmodSync(home, 0o755)
        mkdirSync(join(home, 'photos'))
      }
    ],
    ['one in a directory that all may write to', 1, (home) => chmodSync(join(home, '..'), 0o777)]
  ]
  for (const [n, [title, status, prepare]] of cases.entries()) {
    const home = join(place, `${n}`, 'home')
    mkdirSync(join(home, '..'))
    ownDirectory(home, VICTIM)
    prepare(home)
    const ran = await run(home)
    t.is(ran.exitCode, status, `${title}: ${ran.stderr}${ran.stdout}`)
    if (status === 3) t.is(statSync(home).mode & 0o7777, 0o700, `${title}: is closed`)
  }
  const real = join(place, 'real')
  ownDirectory(real, VICTIM)
  symlinkSync(real, join(place, 'link'))
  t.is((await run(join(place, 'link'))).exitCode, 3, 'a link that root made is followed')
  rmSync(place, { recursive: true, force: true })
})

function mayReadProgram(): boolean {
  try {
    execFileSync('setpriv', [...identity(VICTIM), 'test', '-r', MAIN])
    return true
  } catch {
    return false
  }
}

function identity(uid: number): string[] {
  return [`--reuid=${uid}`, `--regid=${uid}`, '--clear-groups']
}

function ownDirectory(path: string, uid: number): void {
  mkdirSync(path, { mode: 0o700 })
  chownSync(path, uid, uid)
}

function asAttacker(...command: string[]): void {
  execFileSync('setpriv', [...identity(ATTACKER), ...command])
}

function squat(path: string, mode: number): void {
  if (path.startsWith('/tmp/dat-container-')) asAttacker('mkdir', '-m', mode.toString(8), path)
  else {
    mkdirSync(path)
    chownSync(path, ATTACKER, ATTACKER)
    chmodSync(path, mode)
  }
}

async function listen(socket: string, heard: string): Promise<ChildProcess> {
  const child = spawn(
    'setpriv',
    [...identity(ATTACKER), process.execPath, '-e', LISTENER, socket, heard],
    { stdio: ['ignore', 'pipe', 'inherit'] }
  )
  await once(child.stdout, 'data')
  return child
}

function runAs(uid: number, args: string[], { home, ...environment }: Record<string, string>) {
  return execa('setpriv', [...identity(uid), process.execPath, MAIN, ...args], {
    reject: false,
    stdin: 'ignore',
    extendEnv: false,
    // Whoever trusts the attacker’s socket waits for an answer.
    timeout: 10_000,
    env: {
      PATH: process.env['PATH'] ?? '',
      HOME: home ?? '',
      DAT_CONTAINER_HOME: home ?? '',
      DAT_CONTAINER_BOOTSTRAP: '127.0.0.1:1',
      ...environment
    }
  })
}
