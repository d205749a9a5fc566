import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'brittle'
import { installCommand } from '../../../src/core/host/package-manager.ts'
import { homeSshKey } from '../../../src/machine/guest/ssh-key.ts'

const MODULE = fileURLToPath(new URL('../../../src/machine/guest/ssh-key.js', import.meta.url))
const isRoot = process.getuid?.() === 0

interface Ending {
  teardown(undo: () => void): void
}

/** Where a home keeps its key. */
function place(t: Ending): { path: string; lock: string; folder: string } {
  const directory = mkdtempSync(join(tmpdir(), 'dat-ssh-key-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  const folder = join(directory, 'ssh')
  return { path: join(folder, 'id_ed25519'), lock: join(directory, 'lock'), folder }
}

function modeOf(path: string): string {
  return (statSync(path).mode & 0o7777).toString(8)
}

void test('a pair is made that ssh reads, and its private key is its user’s alone', async (t) => {
  const { path, lock, folder } = place(t)
  const mask = process.umask(0)
  let key: string
  try {
    key = await homeSshKey(path, lock)
  } finally {
    process.umask(mask)
  }
  t.ok(/^ssh-ed25519 \S+ dat-container machine$/.test(key), key)
  t.is(execFileSync('ssh-keygen', ['-y', '-P', '', '-f', path]).toString().trim(), key)
  t.is(readFileSync(`${path}.pub`, 'utf8').trim(), key)
  t.alike([modeOf(folder), modeOf(path), modeOf(`${path}.pub`)], ['700', '600', '644'])
  t.alike(readdirSync(folder).sort(), ['id_ed25519', 'id_ed25519.pub'], 'and nothing else is there')
  const { mtimeMs } = statSync(path)
  t.is(await homeSshKey(path, lock), key, 'the next time it is the same')
  t.is(statSync(path).mtimeMs, mtimeMs)
})

void test('first starts at once agree on one key', async (t) => {
  const { path, lock } = place(t)
  const keys = await Promise.all(Array.from({ length: 8 }, () => homeSshKey(path, lock)))
  t.is(new Set(keys).size, 1)
  t.is(execFileSync('ssh-keygen', ['-y', '-f', path]).toString().trim(), keys[0])
})

void test('what a process left that was killed at any point is made good', async (t) => {
  const { path, lock, folder } = place(t)
  const plant: [string, () => void][] = [
    ['while ssh-keygen ran', () => writeFileSync(join(`${path}.new`, 'key'), 'half a key')],
    ['before it ran', () => {}],
    ['between the two files', () => writeFileSync(path, 'a private key alone', { mode: 0o600 })]
  ]
  for (const [when, leave] of plant) {
    mkdirSync(`${path}.new`, { recursive: true })
    leave()
    const key = await homeSshKey(path, lock)
    t.is(execFileSync('ssh-keygen', ['-y', '-P', '', '-f', path]).toString().trim(), key, when)
    t.absent(existsSync(`${path}.new`), `${when}: nothing stays`)
    rmSync(folder, { recursive: true })
  }
})

void test('where ssh-keygen fails, its reason is told and no file is left', async (t) => {
  const { path, lock, folder } = place(t)
  const programs = mkdtempSync(join(tmpdir(), 'dat-programs-'))
  t.teardown(() => rmSync(programs, { recursive: true }))
  writeFileSync(join(programs, 'ssh-keygen'), '#!/bin/sh\necho no random bytes >&2\nexit 1\n')
  chmodSync(join(programs, 'ssh-keygen'), 0o755)
  const told = ask(path, lock, { PATH: `${programs}:${process.env['PATH']}` })
  t.is(told.code, 'IO')
  t.ok(told.message?.endsWith('no random bytes'), told.message)
  t.alike(readdirSync(folder), [])
})

void test(
  'where there is no ssh-keygen, it is told how to install it',
  { skip: !isRoot },
  async (t) => {
    const { path, lock, folder } = place(t)
    const hidden = ask(path, lock, {}, [
      ...['unshare', '--mount', 'sh', '-c'],
      'mount -t tmpfs tmpfs /usr/bin && exec "$@"',
      'sh'
    ])
    t.is(hidden.code, 'MISSING_TOOL')
    t.is(hidden.message, 'ssh-keygen is not installed')
    t.ok(hidden.hint?.startsWith('install it: '), hidden.hint)
    t.alike(existsSync(folder) ? readdirSync(folder) : [], [])
  }
)

void test('how ssh and ssh-keygen are installed', (t) => {
  for (const [manager, ssh, keygen] of [
    ['apt', 'apt-get install -y openssh-client', 'apt-get install -y openssh-client'],
    ['dnf', 'dnf install -y openssh-clients', 'dnf install -y openssh'],
    ['pacman', 'pacman -S --noconfirm openssh', 'pacman -S --noconfirm openssh'],
    ['apk', 'apk add openssh-client-default', 'apk add openssh-keygen'],
    ['zypper', 'zypper install -y openssh-clients', 'zypper install -y openssh-common']
  ] as const) {
    t.is(installCommand('ssh', manager), ssh)
    t.is(installCommand('ssh-keygen', manager), keygen)
  }
})

/** Asks for a key in a process of its own. @returns the error's parts */
function ask(
  path: string,
  lock: string,
  environment: Record<string, string>,
  before: readonly string[] = []
): { code?: string; message?: string; hint?: string } {
  const script = `
    import(${JSON.stringify(MODULE)})
      .then(({ homeSshKey }) => homeSshKey(${JSON.stringify(path)}, ${JSON.stringify(lock)}))
      .then(() => ({}), ({ code, message, hint }) => ({ code, message, hint }))
      .then((told) => console.log(JSON.stringify(told)))
  `
  const [program, ...words] = [...before, process.execPath, '-e', script]
  const env = { ...process.env, ...environment }
  return JSON.parse(execFileSync(program, words, { env }).toString()) as ReturnType<typeof ask>
}
