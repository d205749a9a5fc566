import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'brittle'
import { tinyRootfs } from './tiny-rootfs.ts'
import type { Failure, Shared } from './results.ts'
import { LONG, Sandbox } from './sandbox.ts'

/** Each drives a terminal, turns text around or begins a line, at least in some. */
const UNSAFE =
  // oxlint-disable-next-line no-control-regex -- that is what is looked for
  /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/
const NAMES = [
  'escape\u001b]0;owned\u0007\u001b[2J',
  'line\nforged  file',
  'return\rforged',
  'c1\u009b2J',
  'delete\u007f\u007f',
  'bidi\u202egpj.exe',
  'isolate\u2066\u2067\u2068\u2069',
  'mark\u200e\u200f\u061c',
  'separator\u2028forged\u2029forged'
]

test('no name or message of an image drives the terminal', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const machine = await sandbox.machine('only')
  const source = tinyRootfs(join(sandbox.directory, 'source'))
  const hostile = join(source, 'names')
  mkdirSync(hostile)
  for (const name of NAMES) writeFileSync(join(hostile, name), 'content\n')
  const { link } = await machine.json<Shared>('share', source, '--name', 'tiny')
  writeFileSync(join(hostile, NAMES[5] ?? ''), 'changed\n')
  const marked = join(sandbox.directory, `a${NAMES[5]}`)
  mkdirSync(marked)
  await machine.ok('share', source, '--update', 'tiny')
  const run = ['boot', 'tiny', '-n', 'one', '-d', '-e', `A=${NAMES.slice(1).join('')}`]
  await machine.ok(...run, '--', 'sleep', '1000')

  const shown: [string, string[], number][] = [
    ['ls', ['ls', 'tiny', '/names'], 0],
    ['ls -l', ['ls', '-l', 'tiny', '/names'], 0],
    ['diff', ['diff', 'tiny@1', 'tiny@2'], 1],
    ['info', ['info', 'tiny'], 0],
    ['images', ['images'], 0],
    ['ps', ['ps'], 0],
    ['inspect', ['inspect', 'one'], 0],
    ['stats', ['stats', 'one'], 0],
    ['verify', ['verify', 'tiny'], 0],
    ...NAMES.map((name): [string, string[], number] => [
      `cat of ${JSON.stringify(name)}`,
      ['cat', link, `/no/${name}`],
      3
    ]),
    ['an image that is not', ['info', NAMES.join('')], 3],
    ['a container that is not', ['inspect', NAMES.join('')], 2],
    ['a directory that is not', ['share', join(source, NAMES[5] ?? '')], 3],
    ['a directory that is named so', ['share', marked, '--name', `a${NAMES[5]}`], 2]
  ]
  for (const [title, args, status] of shown) {
    for (const json of [[], ['--json']]) {
      const ran = await machine.run(...json, ...args)
      t.is(ran.exitCode, status, `${title} ${json.join()}: ${JSON.stringify(ran.stderr)}`)
      t.absent(
        UNSAFE.test(ran.stdout + ran.stderr),
        `${title} ${json.join()}: nothing that drives a terminal`
      )
      if (status > 1 && json.length === 0)
        t.is(ran.stderr.split('\n').length, 1, `${title}: one line`)
    }
  }
  const listed = await machine.json<{ name: string }[]>('ls', 'tiny', '/names')
  t.alike(
    listed.map(({ name }) => name).sort(),
    NAMES.toSorted(),
    'JSON tells the names as they are'
  )
  const missing = await machine.run('--json', 'cat', link, `/no/${NAMES[5]}`)
  t.ok((JSON.parse(missing.stderr) as Failure).error.message.includes('\u202e'), 'in errors, too')
  t.is(await machine.ok('cat', 'tiny', `/names/${NAMES[5]}`), 'changed', 'and they open')
  const log = readFileSync(join(machine.home, 'daemon.log'), 'utf8')
  t.absent(UNSAFE.test(log), 'the log is as safe')
  await machine.ok('rm', '--force', 'one')
})
