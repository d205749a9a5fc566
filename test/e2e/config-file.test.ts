import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'brittle'
import { execa } from 'execa'
import { applyConfig } from '../../src/cli/parse/config-file.ts'
import { mergeOptions } from '../../src/machine/lifecycle/machine-options.ts'
import { limitsOf } from '../../src/machine/state/machine-limits.ts'
import { freePort } from '../../src/machine/qemu/free-port.ts'
import { MAIN } from './sandbox.ts'

interface Ran {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}

/** A user with a configuration, who has nothing in the environment. */
class User implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), 'dat-config-'))
  readonly home = join(this.directory, 'state')
  readonly file = join(this.directory, 'dat-container.conf')

  async run(text: string, ...args: string[]): Promise<Ran> {
    writeFileSync(this.file, text)
    return this.again({}, ...args)
  }

  async again(environment: Record<string, string>, ...args: string[]): Promise<Ran> {
    const { PATH = '' } = process.env
    const run = join(this.directory, 'run')
    const own = { PATH, XDG_CONFIG_HOME: this.directory, DAT_CONTAINER_RUNTIME_DIR: run }
    const ran = await execa(process.execPath, [MAIN, ...args], {
      reject: false,
      extendEnv: false,
      env: { ...own, ...environment }
    })
    return { exitCode: ran.exitCode ?? -1, stdout: ran.stdout, stderr: ran.stderr }
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true, force: true })
  }
}

const NOWHERE = '127.0.0.1:9'

void test('a daemon is where and how the configuration says', async (t) => {
  using user = new User()
  const listen = `127.0.0.1:${await freePort()}`
  const text = `# of this test\nhome=${user.home}\n\n  bootstrap = ${NOWHERE}\nlisten = ${listen}\n`
  try {
    const started = await user.run(text, 'daemon', 'start')
    t.is(started.exitCode, 0, started.stderr)
    const { stdout } = await user.again({}, '--json', 'daemon', 'status')
    const status = JSON.parse(stdout) as { home: string; bootstrap: string[]; listen: string }
    t.alike([status.home, status.bootstrap], [user.home, [NOWHERE]])
    t.is(status.listen, listen)
    const other = join(user.directory, 'other')
    const by = await user.again({ DAT_CONTAINER_HOME: other }, 'daemon', 'status')
    t.is(by.exitCode, 3, 'the environment goes before')
    t.is((await user.again({}, '--home', other, 'daemon', 'status')).exitCode, 3, 'options, too')
    t.is((await user.again({ DAT_CONTAINER_CONFIG: '' }, '--help')).exitCode, 0)
  } finally {
    await user.again({}, 'daemon', 'stop')
  }
})

void test('peers are looked for as long as the configuration says', async (t) => {
  using user = new User()
  const absent = `dat://${'y'.repeat(52)}`
  const text = `home = ${user.home}\nbootstrap = ${NOWHERE}\npeer-timeout = 1500ms\n`
  try {
    const limited = await user.run(text, 'mirror', absent)
    t.is(limited.exitCode, 4)
    t.ok(limited.stderr.includes('within 1.5 s'), limited.stderr)
    const VARIABLE = 'DAT_CONTAINER_PEER_TIMEOUT'
    const by = await user.again({ [VARIABLE]: '500ms' }, 'mirror', absent)
    t.ok(by.stderr.includes('within 0.5 s'), by.stderr)
    const given = await user.again({ [VARIABLE]: '1h' }, 'mirror', absent, '--peer-timeout', '1')
    t.ok(given.stderr.includes('within 1 s'), given.stderr)
    const wrong = await user.again({ [VARIABLE]: 'soon' }, 'mirror', absent)
    t.is(wrong.exitCode, 2)
    t.ok(wrong.stderr.includes(`${VARIABLE}: not a duration: "soon" (give seconds,`), wrong.stderr)
    t.is((await user.again({ [VARIABLE]: 'soon' }, 'mirror', '--help')).exitCode, 0)
  } finally {
    await user.again({}, 'daemon', 'stop')
  }
})

const REFUSED: readonly (readonly [line: string, message: RegExp])[] = [
  ['hom = /x', /conf:2 has no known key: "hom" \(known are home, socket,/],
  ['just words', /conf:2 is not a setting: "just words" \(write KEY = VALUE\)/],
  ['home = here', /conf:2 has no absolute path: here/],
  ['home =', /conf:2 sets home to nothing/],
  ['bootstrap = nowhere', /conf:2 sets bootstrap: not a bootstrap node: "nowhere"/],
  ['listen = 1.2.3.4:x', /conf:2 sets listen: /],
  ['vm = maybe', /conf:2 sets vm: unknown value: "maybe" \(write one of auto, always, never\)/],
  ['peer-timeout = soon', /conf:2 sets peer-timeout: not a duration: "soon" \(give seconds,/],
  ['log-level = loud', /conf:2 sets log-level: unknown value: "loud"/],
  ['machine-memory = much', /conf:2 sets machine-memory: not a size: "much"/],
  ['machine-cpus = 0', /conf:2 sets machine-cpus: not a number of processors: "0"/],
  ['vm = auto\nvm = auto', /conf:3 sets vm a second time/]
]

void test('what is wrong in a configuration is named by its line', async (t) => {
  using user = new User()
  for (const [line, message] of REFUSED) {
    const { exitCode, stderr } = await user.run(`# first\n${line}\n`, 'machine', 'ls')
    t.is(exitCode, 2, line)
    t.ok(message.test(stderr), stderr)
  }
  const help = await user.again({}, 'boot', '--help')
  t.is(help.exitCode, 0, 'help is there in spite of it')
  const absent = join(user.directory, 'absent.conf')
  const named = await user.again({ DAT_CONTAINER_CONFIG: absent }, 'machine', 'ls')
  t.ok(named.exitCode === 1 && named.stderr.includes(`cannot read ${absent}: ENOENT`), named.stderr)
})

void test('a configuration that others control is not used', async (t) => {
  using user = new User()
  const text = `home = ${user.home}\n`
  t.is((await user.run(text, 'machine', 'ls')).exitCode, 0)
  chmodSync(user.file, 0o666)
  const open = await user.again({}, 'machine', 'ls')
  t.ok(open.exitCode === 1 && open.stderr.includes('others may write to it'), open.stderr)
  chmodSync(user.file, 0o644)
  if (process.getuid?.() !== 0) return
  chownSync(user.file, 1000, 1000)
  const theirs = await user.again({}, 'machine', 'ls')
  t.ok(theirs.exitCode === 1 && theirs.stderr.includes('it belongs to user 1000'), theirs.stderr)
})

void test('of two files the user’s goes before the machine’s', (t) => {
  using user = new User()
  const system = join(user.directory, 'etc/dat-container.conf')
  mkdirSync(join(user.directory, 'etc'))
  writeFileSync(system, `home = /srv/all\nvm = never\nmachine-cpus = 3\n`)
  writeFileSync(user.file, `home = /srv/mine\n`)
  const environment: NodeJS.ProcessEnv = {
    XDG_CONFIG_HOME: user.directory,
    DAT_CONTAINER_MACHINE_CPUS: '5'
  }
  const { error, settings } = applyConfig(environment, system)
  t.is(error, undefined)
  t.alike(
    settings.map(({ key, place }) => [key, place]),
    [
      ['home', `${user.file}:1`],
      ['vm', `${system}:2`]
    ]
  )
  const {
    DAT_CONTAINER_HOME: home,
    DAT_CONTAINER_VM: vm,
    DAT_CONTAINER_MACHINE_CPUS: cpus
  } = environment
  t.alike([home, vm, cpus], ['/srv/mine', 'never', '5'])
})

void test('limits are those of new machines', (t) => {
  const limits = limitsOf({
    DAT_CONTAINER_MACHINE_MEMORY: '512M',
    DAT_CONTAINER_MACHINE_CPUS: '3',
    DAT_CONTAINER_MACHINE_DISK: 'none'
  })
  const first = mergeOptions('web', {}, undefined, limits)
  t.alike([first.memoryMib, first.cpus, first.diskBytes], [512, 3, 0])
  t.is(mergeOptions('web', { cpus: 1 }, undefined, limits).cpus, 1, 'options go before')
  const kept = mergeOptions('web', {}, mergeOptions('web', { cpus: 2 }, undefined), limits)
  t.is(kept.cpus, 2, 'a machine stays as it is')
})
