import { execFileSync } from 'node:child_process'
import { appendFileSync, chmodSync, closeSync, createReadStream, mkdirSync } from 'node:fs'
import {
  openSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync
} from 'node:fs'
import { join } from 'node:path'
import test from 'brittle'
import { execa } from 'execa'
import { directoryLines, extract, plantForTar } from '../image/tar-archives.ts'
import type { Failure, Listed, Shared } from './results.ts'
import { LONG, Sandbox } from './sandbox.ts'

interface Differences {
  readonly changes: readonly { path: string; change: string; what: string[] }[]
}

test('a tree goes in and out as tar, by file and by pipe', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const machine = await sandbox.machine('machine')
  const root = join(sandbox.directory, 'root')
  plantForTar(root)
  const original = await directoryLines(root)
  const { link } = await machine.json<Shared>('share', root, '--name', 'first')

  const archive = join(sandbox.directory, 'out.tar')
  const said = await machine.json<{ entries: number }>('export', link, 'tar', archive)
  t.is(said.entries, original.length)
  extract(archive, join(sandbox.directory, 'extracted'))
  t.alike(await directoryLines(join(sandbox.directory, 'extracted')), original, 'as it was')
  const piped = machine.start(['export', 'first', 'tar', '-'], { encoding: 'buffer' })
  t.ok(Buffer.from((await piped).stdout as Uint8Array).equals(readFileSync(archive)), 'by stdout')

  execFileSync('xz', ['-0', archive])
  const again = await machine.json<Shared>('share', `${archive}.xz`)
  const same = await machine.json<Differences>('diff', 'first', again.link)
  t.alike(same.changes, [], 'the archive of an image is the image')
  t.is((await machine.json<Listed[]>('images')).filter(({ name }) => name === 'out').length, 1)

  const stdin = machine.start(['share', '-', '--name', 'piped'], { stdin: 'pipe' })
  createReadStream(`${archive}.xz`).pipe(stdin.stdin!)
  t.is((await stdin).exitCode, 0, 'by stdin')
  t.is((await machine.run('diff', 'first', 'piped')).exitCode, 0)
})

test('where standard output takes no more, that is said in a line', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const machine = await sandbox.machine('machine')
  const root = join(sandbox.directory, 'root')
  mkdirSync(root)
  writeFileSync(join(root, 'small'), 'small')
  writeFileSync(join(root, 'large'), Buffer.alloc(3_000_000, 'large '))
  await machine.ok('share', root, '--name', 'image')
  const full = openSync('/dev/full', 'w')
  try {
    for (const args of [
      ['export', 'image', 'tar', '-'],
      ['export', 'image', 'oci', '-'],
      ['cat', 'image', '/small'],
      ['cat', 'image', '/large'],
      ['ls', 'image'],
      ['images']
    ]) {
      // Any descriptor will do, which its types do not know.
      const ran = await machine.start(args, { stdout: full as 3 })
      t.is(ran.exitCode, 1, args.join(' '))
      t.is(
        ran.stderr,
        'dat-container: cannot write to standard output: ENOSPC (make room where it is redirected to)'
      )
    }
  } finally {
    closeSync(full)
  }
})

test('diff names what changed between versions', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const machine = await sandbox.machine('machine')
  const root = join(sandbox.directory, 'root')
  mkdirSync(join(root, 'etc/old'), { recursive: true })
  for (const name of ['content', 'mode', 'same', 'old/gone', 'old2']) {
    writeFileSync(join(root, 'etc', name), name)
  }
  await machine.ok('share', root, '--name', 'image')
  appendFileSync(join(root, 'etc/content'), 'more')
  chmodSync(join(root, 'etc/mode'), 0o600)
  rmSync(join(root, 'etc/old'), { recursive: true })
  rmSync(join(root, 'etc/old2'))
  mkdirSync(join(root, 'etc/old2'))
  writeFileSync(join(root, 'etc/old2/new'), 'new')
  await machine.ok('share', root, '--update', 'image')

  const ran = await machine.run('diff', 'image@1', 'image@2')
  t.is(ran.exitCode, 1, 'as diff(1) ends')
  t.alike(ran.stdout.split('\n'), [
    '~ /etc  (mtime)',
    '~ /etc/content  (content, mtime)',
    '~ /etc/mode  (mode)',
    '- /etc/old',
    '- /etc/old/gone',
    '~ /etc/old2  (type, mode, mtime)',
    '+ /etc/old2/new'
  ])
  const json = await machine.run('--json', 'diff', 'image@2', 'image@1')
  const { changes } = JSON.parse(json.stdout) as Differences
  t.alike(changes.at(2), { path: '/etc/mode', change: 'changed', what: ['mode'] })
  t.alike(changes.at(-1), { path: '/etc/old2/new', change: 'removed', what: [] })
  const equal = await machine.run('diff', 'image@2', 'image')
  t.alike([equal.exitCode, equal.stdout], [0, ''], 'equal versions')
})

test('what is damaged or in the way is said, and leaves nothing', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const machine = await sandbox.machine('machine')
  const root = join(sandbox.directory, 'root')
  mkdirSync(root)
  writeFileSync(join(root, 'file'), Buffer.alloc(3_000_000, 'content '))
  const archive = join(sandbox.directory, 'a.tar')
  execFileSync('tar', ['-c', '-f', archive, '-C', root, '.'])
  truncateSync(archive, 2_000_000)
  const failures: [string, number, string, string[]][] = [
    ['a cut archive', 5, 'BAD_SOURCE', ['share', archive]],
    ['no archive', 5, 'BAD_SOURCE', ['share', '/etc/passwd']],
    ['a source that is not', 3, 'NOT_FOUND', ['share', join(root, 'none.tar')]],
    ['an option for directories', 2, 'USAGE', ['share', archive, '--one-file-system']],
    ['a directory as an archive', 2, 'USAGE', ['share', root, '--as', 'tar']],
    ['an image as files, by name', 2, 'USAGE', ['share', `oci-archive:${archive}`, '--as', 'tar']],
    ['an image that is not', 3, 'NOT_FOUND', ['export', 'none', 'tar', join(root, 'b.tar')]],
    ['a device in the way', 2, 'USAGE', ['export', 'none', 'tar', '/dev/null']],
    ['a format that is not', 2, 'USAGE', ['export', 'none', 'cpio', join(root, 'b.tar')]]
  ]
  for (const [title, status, code, args] of failures) {
    const { exitCode, stderr } = await machine.run('--json', ...args)
    t.is(exitCode, status, `${title}: exit status`)
    if (stderr.startsWith('{')) t.is((JSON.parse(stderr) as Failure).error.code, code, title)
  }
  t.alike(await machine.json('images'), [], 'no image was half-made')

  const silent = machine.start(['share', '-', '--name', 'silent'], { stdin: 'pipe' })
  // A pipe holds 64 KiB, so all of it is written when the command has read most.
  const begun = readFileSync(archive).subarray(0, 1_000_000)
  await new Promise((resolve) => silent.stdin!.write(begun, resolve))
  silent.kill('SIGINT')
  t.is((await silent).exitCode, 130, 'a pipe that is silent can be left')
  execFileSync('xz', ['-k', archive])
  const [program, args] = machine.argv('--json', 'share', `${archive}.xz`)
  const { stderr } = await execa(program, args, {
    env: { DAT_CONTAINER_HOME: machine.home, ...sandbox.sandboxEnvironment, PATH: '/nowhere' },
    reject: false
  })
  t.is((JSON.parse(stderr) as Failure).error.code, 'MISSING_TOOL', 'xz is not there')
  t.alike(await machine.json('images'), [], 'still no image')

  await machine.ok('share', root, '--name', 'image')
  const open = join(sandbox.directory, 'open.tar')
  execFileSync('tar', ['-c', '-f', open, '-C', root, 'file'])
  truncateSync(open, Math.ceil(statSync(join(root, 'file')).size / 512) * 512 + 512)
  const { stderr: note } = await machine.run('share', open)
  t.ok(/nothing marks the end of the archive/.test(note), note)
  const { notices } = await machine.json<{ notices: string[] }>('share', open, '--name', 'again')
  t.is(notices.length, 1, 'it is in the JSON, too')
  await machine.ok('share', open, '--name', 'zeros', '--ignore-zeros')
  const below = join(sandbox.directory, 'no/such/place.tar')
  t.is((await machine.run('export', 'image', 'tar', below)).exitCode, 1)
  const cancelled = machine.start(['export', 'image', 'tar', join(sandbox.directory, 'c.tar')])
  cancelled.kill('SIGINT')
  await cancelled
  t.ok(statSync('/dev/null').isCharacterDevice())
  t.alike(
    readdirSync(sandbox.directory).filter((name) => name.includes('c.tar')),
    [],
    'whole or absent'
  )
})
