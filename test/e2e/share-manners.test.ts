import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'brittle'
import type { Container, Failure, Listed, Shared } from './results.ts'
import { LONG, Sandbox, type Ran } from './sandbox.ts'
import { tinyRootfs } from './tiny-rootfs.ts'

test(
  'a name that this machine publishes under is taken, and names are checked',
  LONG,
  async (t) => {
    await using sandbox = await Sandbox.open()
    const machine = await sandbox.machine('publisher')
    const source = directory(sandbox, 'source', { 'etc/motd': 'one' })
    await machine.ok('share', source, '--name', 'web')
    const again = await machine.run('share', source, '--name', 'web')
    t.is(again.exitCode, 1)
    t.ok(again.stderr.includes('--update web'), again.stderr)
    t.is((await machine.json<Listed[]>('images')).length, 1, 'there is one image')

    // Both begin before either is there.
    const slow = directory(sandbox, 'slow', { large: 'x'.repeat(40_000_000) })
    const both = await Promise.all([
      machine.run('share', slow, '--name', 'both'),
      machine.run('share', slow, '--name', 'both')
    ])
    t.alike(
      both.map(({ exitCode }) => String(exitCode)).toSorted(),
      ['0', '1'],
      'one of two at once'
    )

    await machine.ok('share', source, '--name', 'other')
    const renamed = await machine.run('share', source, '--update', 'other', '--name', 'web')
    t.is(renamed.exitCode, 1, 'nor is another image renamed so')
    await machine.ok('share', source, '--update', 'other', '--name', 'third')
    await machine.ok('share', source, '--name', 'other')
    await machine.ok('share', source, '--update', 'web')

    const before = (await machine.json<Listed[]>('images')).length
    for (const name of ['', '../x', 'a@2', 'a b', '-x', '.x', 'dat://x', 'a#b', 'a'.repeat(65)]) {
      const ran = await machine.run('--json', 'share', source, `--name=${name}`)
      t.is(ran.exitCode, 2, `${JSON.stringify(name)}: ${ran.stderr}`)
      t.is(codeOf(ran), 'USAGE')
    }
    const spaced = directory(sandbox, 'My files (old)', { a: 'a' })
    t.ok((await machine.ok('share', spaced)).startsWith('My-files-old version 1'))
    t.is((await machine.json<Listed[]>('images')).length, before + 1)
  }
)

test('an image is known by the beginning of its key', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const machine = await sandbox.machine('publisher')
  const source = directory(sandbox, 'source', { 'etc/motd': 'one' })
  const { key, link } = await machine.json<Shared>('share', source, '--name', 'web')
  writeFileSync(join(source, 'etc/motd'), 'two')
  await machine.ok('share', source, '--update', key.slice(0, 8))
  for (const [image, content] of [
    [key.slice(0, 4), 'two'],
    [`${key.slice(0, 12)}@1`, 'one'],
    [key.slice(0, 45), 'two'],
    [key, 'two'],
    [`${key}@1`, 'one']
  ] as const) {
    t.is(await machine.ok('cat', image, '/etc/motd'), content, image)
  }
  const reader = await sandbox.machine('reader')
  const unknown = await reader.run('cat', key, '/etc/motd')
  t.is(unknown.exitCode, 3, 'a key opens nothing elsewhere')
  t.ok(unknown.stderr.includes('full link'), unknown.stderr)
  t.is(await reader.ok('cat', link, '/etc/motd'), 'two', 'the link does')
  t.is(
    (await machine.run('cat', key.slice(0, 3), '/etc/motd')).exitCode,
    3,
    'three letters are none'
  )
  await machine.ok('unseed', '--force', key.slice(0, 10))
  t.is((await machine.json<Listed[]>('images')).length, 0)
})

test('a key that begins as another’s has to be given further', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const machine = await sandbox.machine('publisher')
  await machine.ok('share', directory(sandbox, 'source', { a: 'a' }), '--name', 'web')
  await machine.ok('daemon', 'stop')
  // Keys are random; an entry whose key differs in the last byte alone stands for a rare pair.
  const path = join(machine.home, 'images.json')
  const catalog = JSON.parse(readFileSync(path, 'utf8')) as { images: CatalogImage[] }
  const [first] = catalog.images as [CatalogImage]
  const last = first.key.endsWith('00') ? '01' : '00'
  const twin = { key: first.key.slice(0, -2) + last, secret: null, role: 'mirror', name: 'twin' }
  catalog.images.push({ ...first, ...twin, namespace: null })
  writeFileSync(path, JSON.stringify(catalog))
  const keys = (await machine.json<Listed[]>('images')).map(({ key }) => key)
  const ran = await machine.run('info', (keys[0] ?? '').slice(0, 20))
  t.is(ran.exitCode, 2)
  t.ok(ran.stderr.includes('several images'), ran.stderr)
  t.is((await machine.run('info', 'web')).exitCode, 0, 'a name is a name')
})

test('share -q prints the link alone, and a message has one line', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const machine = await sandbox.machine('publisher')
  const source = directory(sandbox, 'source', { 'etc/motd': 'one' })
  const [program, argv] = machine.argv('share', '-q', source)
  const script = 'link=$("$@") && printf "%s|" "$link"'
  const env = { ...process.env, ...sandbox.sandboxEnvironment, DAT_CONTAINER_HOME: machine.home }
  const shell = execFileSync('sh', ['-c', script, 'sh', program, ...argv], {
    env,
    stdio: ['ignore', 'pipe', 'pipe']
  }).toString()
  t.ok(/^dat:\/\/[a-z0-9]{52}#[a-z0-9]{52}\|$/.test(shell), shell)
  t.is(await machine.ok('cat', shell.slice(0, -1), '/etc/motd'), 'one')

  const lines = await machine.run('share', source, '--update', 'source', '-m', 'one\ntwo')
  t.is(lines.exitCode, 2)
  t.ok(lines.stderr.includes('the message has several lines'), lines.stderr)
  const control = await machine.run('share', source, '--update', 'source', '-m', 'a\u001b[2J')
  t.is(control.exitCode, 2, control.stderr)
  await machine.ok('share', source, '--update', 'source', '-m', 'one')
})

test('what an image has in common with a damaged one keeps nobody waiting', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const machine = await sandbox.machine('publisher')
  const content = { 'etc/motd': 'one', 'etc/other': 'x'.repeat(100_000) }
  await machine.ok('share', directory(sandbox, 'damaged', content))
  await machine.ok('share', directory(sandbox, 'whole', content))
  await machine.ok('daemon', 'stop')
  const path = join(machine.home, 'images.json')
  const catalog = JSON.parse(readFileSync(path, 'utf8')) as { images: CatalogImage[] }
  for (const image of catalog.images) {
    if (image.name === 'damaged') image.secret = '11'.repeat(32)
  }
  writeFileSync(path, JSON.stringify(catalog))
  const damaged = await machine.run('info', 'damaged')
  t.not(damaged.exitCode, 0, `one does not open: ${damaged.stderr}`)

  const shared = await machine.run('share', directory(sandbox, 'new', content))
  t.is(shared.exitCode, 0, shared.stderr)
  t.ok(shared.stdout.includes('dat://'), 'the link is printed')
  t.ok(shared.stderr.includes('is also in your whole'), shared.stderr)
  const document = await machine.json<Shared>('share', directory(sandbox, 'json', content))
  t.ok(document.link.startsWith('dat://'))
  t.ok(document.similar, 'and those that open are compared')
})

test('the root of a container is shared with --one-file-system', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const machine = await sandbox.machine('publisher')
  const source = tinyRootfs(join(sandbox.directory, 'source'))
  writeFileSync(join(source, 'etc/motd'), 'below')
  const { link } = await machine.json<Shared>('share', source, '--name', 'tiny')
  const command = ['--', 'sh', '-c', 'echo above >/root/written; exec sleep 600']
  await machine.ok('boot', link, '-n', 'one', '-d', ...command)
  const [container] = await machine.json<[Container]>('ps')
  const shared = await machine.json<Shared>(
    ...['share', container.rootfs, '--one-file-system', '--name', 'changed']
  )
  t.is(await machine.ok('cat', shared.link, '/etc/motd'), 'below', 'of the image')
  t.is(await machine.ok('cat', shared.link, '/root/written'), 'above\n'.trim(), 'of the container')

  // A file that is mounted from elsewhere stays out, as does the inside of such a directory.
  const place = directory(sandbox, 'place', { file: '', 'dir/x': 'x', own: 'own' })
  execFileSync('mount', ['-t', 'tmpfs', 'none', join(place, 'dir')])
  writeFileSync(join(place, 'dir/other'), 'other')
  execFileSync('mount', ['--bind', join(place, 'dir/other'), join(place, 'file')])
  try {
    const within = await machine.json<Shared>('share', place, '--one-file-system')
    t.is(await machine.ok('ls', within.link, '/'), 'dir\nown')
    t.is(await machine.ok('ls', within.link, '/dir'), '')
    const all = await machine.json<Shared>('share', place, '--name', 'all')
    t.is(await machine.ok('ls', all.link, '/'), 'dir\nfile\nown')
  } finally {
    execFileSync('umount', [join(place, 'file')])
    execFileSync('umount', [join(place, 'dir')])
  }
})

interface CatalogImage {
  key: string
  name: string
  secret: string | null
  namespace: string | null
}

function directory(sandbox: Sandbox, name: string, files: Record<string, string>): string {
  const path = join(sandbox.directory, name)
  for (const [file, content] of Object.entries(files)) {
    mkdirSync(join(path, file, '..'), { recursive: true })
    writeFileSync(join(path, file), content)
  }
  return path
}

function codeOf({ stderr }: Ran): string {
  return (JSON.parse(stderr) as Failure).error.code
}
