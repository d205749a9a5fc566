import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'brittle'
import type { Shared } from './results.ts'
import { LONG, Sandbox } from './sandbox.ts'

const NOT_UTF8 = Buffer.from('na\xefve', 'latin1')

test('cat and ls take names that are not UTF-8', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const machine = await sandbox.machine('machine')
  const source = join(sandbox.directory, 'source')
  mkdirSync(source)
  const below = (name: Buffer): Buffer => Buffer.concat([Buffer.from(`${source}/`), name])
  writeFileSync(below(NOT_UTF8), 'with an i of latin1')
  // What Node.js makes of the other, as a name of its own.
  writeFileSync(below(Buffer.from(NOT_UTF8.toString())), 'with a replacement character')
  const { link } = await machine.json<Shared>('share', source, '--name', 'names')
  // Node.js cannot pass such an argument on; a shell can.
  for (const image of ['names', link]) {
    const [program, argv] = machine.argv('cat', image)
    const command = [program, ...argv].map((word) => `'${word}'`).join(' ')
    const env = { ...process.env, ...sandbox.sandboxEnvironment, DAT_CONTAINER_HOME: machine.home }
    const cat = (name: string): string =>
      execFileSync('bash', ['-c', `${command} "$(printf '${name}')"`], { env }).toString()
    t.is(cat(String.raw`/na\xefve`), 'with an i of latin1')
    t.is(cat(String.raw`/na\xef\xbf\xbdve`), 'with a replacement character')
  }
})

test('/proc that is mounted in a source is shared empty, with a word', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const machine = await sandbox.machine('machine')
  const source = join(sandbox.directory, 'source')
  for (const name of ['proc', 'sys', 'data']) mkdirSync(join(source, name), { recursive: true })
  writeFileSync(join(source, 'file'), 'content')
  execFileSync('mount', ['--bind', '/proc', join(source, 'proc')])
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', join(source, 'data')])
  try {
    writeFileSync(join(source, 'data/file'), 'of another file system')
    const ran = await machine.run('share', source, '--name', 'with-proc')
    t.is(ran.exitCode, 0, ran.stderr)
    t.ok(
      /kernel file system is mounted at \/proc in the source/.test(ran.stderr + ran.stdout),
      ran.stderr
    )
    t.is(await machine.ok('ls', 'with-proc', '/proc'), '')
    t.is(await machine.ok('cat', 'with-proc', '/data/file'), 'of another file system')
  } finally {
    execFileSync('umount', [join(source, 'proc'), join(source, 'data')])
  }
})
