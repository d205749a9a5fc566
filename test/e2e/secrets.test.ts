import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'brittle'
import { execa } from 'execa'
import type { Container, Failure, Listed, Shared } from './results.ts'
import { LONG, Sandbox, type Machine } from './sandbox.ts'
import { tinyRootfs } from './tiny-rootfs.ts'

const NOBODY = ['--reuid=65534', '--regid=65534', '--clear-groups']

/** Prints which files of /proc that it may read have the text of its last argument. */
const LOOK = `
const { readdirSync, readFileSync } = require('node:fs')
for (const pid of readdirSync('/proc').filter((name) => /^[0-9]+$/.test(name))) {
  for (const file of ['cmdline', 'environ', 'comm', 'stat']) {
    if (pid === String(process.pid) || pid === String(process.ppid)) continue
    try {
      if (readFileSync('/proc/' + pid + '/' + file).includes(process.argv.at(-1))) console.log(pid, file)
    } catch {}
  }
}
`

function seenBy(prefix: readonly string[], secret: string): string[] {
  const args = [...prefix, process.execPath, '-e', LOOK, secret]
  const found = execFileSync('env', args, { encoding: 'utf8' })
  return found.split('\n').filter((line) => line !== '')
}

test('nobody sees the secret of a link that is being used', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const machine = await sandbox.machine('only')
  const source = tinyRootfs(join(sandbox.directory, 'source'))
  const { link } = await machine.json<Shared>('share', source, '--name', 'tiny')
  const secret = link.split('#')[1] ?? ''
  const file = join(sandbox.directory, 'link')
  writeFileSync(file, `${link}\n`, { mode: 0o600 })
  const command = ['--', 'sh', '-c', 'echo up; cat']

  // What an argument shows until its process takes it back: the probe sees that.
  const control = machine.start(['daemon', 'status'], { input: '' })
  await control
  const shown = execFileSync('setpriv', [...NOBODY, 'sh', '-c', 'tr "\\0" " " </proc/1/cmdline'])
  t.ok(shown.length > 0, 'another user reads arguments here')
  const holder = execa('sh', ['-c', 'sleep 60; true', `dat://key#${secret}`])
  await sleep(100)
  t.ok(seenBy(['setpriv', ...NOBODY], secret).length > 0, 'and the probe finds a secret in them')
  holder.kill()
  await holder.catch(() => {})

  const ways: [string, string[], Record<string, string>, string][] = [
    ['as an argument', ['boot', link, '-n', 'one', ...command], {}, ''],
    ['on standard input', ['boot', '-', '-n', 'one', ...command], {}, `${link}\n`],
    ['in a file', ['boot', '--link-file', file, '-n', 'one', ...command], {}, ''],
    ['in the environment', ['boot', '-n', 'one', ...command], { DAT_CONTAINER_LINK: link }, ''],
    ['detached', ['boot', link, '-n', 'one', '-d', '--', 'sleep', '1000'], {}, '']
  ]
  for (const [title, args, env, input] of ways) {
    const running = machine.start(args, {
      env: { ...sandbox.sandboxEnvironment, DAT_CONTAINER_HOME: machine.home, ...env },
      stdin: 'pipe'
    })
    running.stdin?.write(input)
    await isRunning(machine, 'one')
    t.alike(seenBy(['setpriv', ...NOBODY], secret), [], `${title}: another user sees none`)
    const root = seenBy([], secret).filter((line) => line !== `${running.pid} environ`)
    t.alike(root, [], `${title}: nor does root, outside of the environment that was given`)
    if (!args.includes('-d')) {
      running.stdin?.end('and the rest is for the command\n')
      const { stdout, exitCode } = await running
      t.is(exitCode, 0, `${title}: it ran`)
      t.ok(
        String(stdout).includes('and the rest is for the command'),
        `${title}: and has its input`
      )
    }
    await machine.run('rm', '--force', 'one')
    await running
  }

  const mounted = join(sandbox.directory, 'mnt')
  await machine.start(['mount', '-', mounted], { input: `${link}\n` })
  t.ok(readdirSync(mounted).includes('usr'), 'mount takes it from standard input')
  t.alike(seenBy([], secret), [], 'and its mounter shows it nowhere')
  await machine.ok('umount', mounted)
})

test('links are told whole only where that is asked for', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const machine = await sandbox.machine('only')
  const source = tinyRootfs(join(sandbox.directory, 'source'))
  const { link, mirrorLink } = await machine.json<Shared>('share', source, '--name', 'tiny')
  const secret = link.split('#')[1] ?? ''
  t.ok(secret.length === 52, 'share tells the link: that is what it is for')
  await machine.ok('boot', 'tiny', '-n', 'one', '-d', '--', 'sleep', '1000')

  const verbs: string[][] = [
    ['images'],
    ['ps'],
    ['inspect', 'one'],
    ['info', 'tiny'],
    ['pull', 'tiny'],
    ['boot', 'tiny', '-d', '--', 'true'],
    ['unseed', 'tiny', '--force']
  ]
  for (const verb of verbs.slice(0, -1)) {
    for (const json of [[], ['--json']]) {
      const title = [...json, ...verb].join(' ')
      const hidden = await machine.ok(...json, ...verb)
      t.absent(hidden.includes(secret), `${title}: no secret`)
      if (json.length === 0 || verb[0] === 'boot') continue
      t.ok(hidden.includes(mirrorLink.slice(6)), `${title}: a mirror link`)
      const whole = await machine.ok(...json, ...verb, '--links')
      t.ok(whole.includes(secret), `${title} --links: the secret`)
    }
  }
  t.is((await machine.json<Listed[]>('images'))[0]?.link, mirrorLink, 'which is what mirror takes')
  t.is((await machine.json<Container[]>('ps'))[0]?.link.includes('#'), false)

  const refused = await machine.run('--json', 'info', `${link}x`)
  t.absent(refused.stderr.includes(secret), 'an error does not quote it')
  t.is((JSON.parse(refused.stderr) as Failure).error.code, 'BAD_LINK')
  const log = readFileSync(join(machine.home, 'daemon.log'), 'utf8')
  t.absent(log.includes(secret), 'nor does the log')
  t.alike(readableWith(machine.home, secret), [], 'files with it are 0600')
  t.ok(filesWith(machine.home, secret).length > 1, 'and there are some')

  await machine.ok('rm', '--force', 'one')
})

test('a link comes from a file, the environment or standard input', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const machine = await sandbox.machine('only')
  const source = tinyRootfs(join(sandbox.directory, 'source'))
  const { link, key } = await machine.json<Shared>('share', source, '--name', 'tiny')
  const { link: other } = await machine.json<Shared>('share', join(source, 'etc'))
  const file = join(sandbox.directory, 'link')
  writeFileSync(file, `${link}\nwhat follows is not read\n`)
  const empty = join(sandbox.directory, 'empty')
  writeFileSync(empty, '\n')
  const env = { ...sandbox.sandboxEnvironment, DAT_CONTAINER_HOME: machine.home }
  const cases: [string, string[], Record<string, string>, string, string | number][] = [
    ['info -', ['info', '-'], {}, link, key],
    ['info', ['--json', 'info', '--link-file', file], {}, '', key],
    [
      'info with global options',
      ['--home', machine.home, 'info', `--link-file=${file}`],
      {},
      '',
      key
    ],
    ['cat', ['cat', '--link-file', file, '/etc/os-release'], {}, '', 'ID=tiny'],
    [
      'cat of the environment',
      ['cat', '/etc/os-release'],
      { DAT_CONTAINER_LINK: link },
      '',
      'ID=tiny'
    ],
    [
      'an argument goes first',
      ['cat', other, '/os-release'],
      { DAT_CONTAINER_LINK: link },
      '',
      'ID=tiny'
    ],
    ['ls -', ['ls', '-', '/etc'], { DAT_CONTAINER_LINK: link }, '', 'os-release'],
    ['diff', ['diff', '-', 'tiny'], {}, `${link}\n`, ''],
    ['verify', ['verify', '-'], {}, `${link}\n`, ''],
    ['gc', ['gc', '--old-versions', '--dry-run', '-'], {}, `${link}\n`, 'tiny'],
    ['share --update', ['share', source, '--update', '-'], {}, `${link}\n`, 'version 2'],
    ['no file', ['info', '--link-file', `${file}-not`], {}, '', 3],
    ['an empty file', ['info', '--link-file', empty], {}, '', 2],
    ['an empty input', ['info', '-'], {}, '', 2],
    ['nothing at all', ['info'], {}, '', 2]
  ]
  for (const [title, args, extra, input, expected] of cases) {
    const ran = await machine.start(args, { env: { ...env, ...extra }, input })
    if (typeof expected === 'number')
      t.is(ran.exitCode, expected, `${title}: ${String(ran.stderr)}`)
    else
      t.ok(
        ran.exitCode === 0 && String(ran.stdout).includes(expected),
        `${title}: ${String(ran.stderr)}`
      )
  }
})

async function isRunning(machine: Machine, name: string): Promise<void> {
  for (;;) {
    const containers = await machine.json<Container[]>('ps')
    if (containers.some((one) => one.name === name && one.state === 'running')) return
    await sleep(100)
  }
}

function filesWith(directory: string, text: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .map((name) => join(directory, name))
    .filter(
      (path) => !path.includes('/upper/') && statSync(path, { throwIfNoEntry: false })?.isFile()
    )
    .filter((path) => readFileSync(path).includes(text))
}

function readableWith(directory: string, text: string): string[] {
  return filesWith(directory, text).filter((path) => (statSync(path).mode & 0o077) !== 0)
}
