import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from 'node:fs'
import { join } from 'node:path'
import test from 'brittle'
import { ProgramBuilder } from '../../src/boot/enter/program-builder.ts'
import { thisProcessor } from '../../src/boot/enter/processor.ts'
import { scriptInitRootfs } from '../boot/script-init.ts'
import { handMadeImage, tool } from '../image/oci-images.ts'
import { debianRootfs } from './rootfs.ts'
import { LONG, Sandbox } from './sandbox.ts'
import { tinyRootfs } from './tiny-rootfs.ts'

const STDOUT = 1
/** What the kernel gives where there is no such directory. */
const ABSENT = 7
const MOUNTS = ['erofs', 'fuse'].map((mode) => ['--mount', mode])
const IDS = [[], ['--private-users', 'no']]
const ROOTS = [[], ['--read-only']]
/** Each mount, with each kind of ids, with a root that can be written to and one that cannot. */
const WAYS = MOUNTS.flatMap((mount) => IDS.map((ids) => [...mount, ...ids])).flatMap((way) =>
  ROOTS.map((root) => [...way, ...root])
)

/** A program that is all that an image of one file has: it says where it is, and needs no library. */
function onlyProgram(): Buffer {
  const builder = new ProgramBuilder(thisProcessor())
  const text = 'hello from one file\n'
  builder.try('chdir', builder.data.text('/proc/self'))
  builder.jumpIf('notEqual', 0, 'absent')
  builder.try('write', STDOUT, builder.data.text(text), text.length)
  builder.end(0)
  builder.label('absent')
  builder.end(ABSENT)
  return builder.toElf()
}

test('an image of one program, without a /usr, runs', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const machine = await sandbox.machine('machine')
  const rootfs = join(sandbox.directory, 'rootfs')
  mkdirSync(rootfs)
  writeFileSync(join(rootfs, 'hello'), onlyProgram(), { mode: 0o755 })
  await machine.ok('share', rootfs, '--name', 'one')
  for (const way of WAYS) {
    const ran = await machine.run('boot', 'one', '--ephemeral', ...way, '--', '/hello')
    t.alike([ran.exitCode, ran.stdout, ran.stderr], [0, 'hello from one file', ''], way.join(' '))
  }
  for (const more of [
    ['-u', '1000'],
    ['--network', 'none'],
    ['-w', '/no/where']
  ]) {
    const ran = await machine.run('boot', 'one', '--ephemeral', ...more, '--', '/hello')
    t.alike([ran.exitCode, ran.stdout], [0, 'hello from one file'], more.join(' '))
  }
  const { stderr } = await machine.run('boot', 'one', '--ephemeral', '-w', '/hello', '--', '/hello')
  t.ok(stderr.includes('the working directory /hello is not a directory'), stderr)
})

const SHOW_DIRECTORY = ['/bin/sh', '-c', 'pwd; ls -ldn .']

test('a working directory that is missing is made', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const machine = await sandbox.machine('machine')
  const rootfs = tinyRootfs(mkdtempSync(join(sandbox.directory, 'tiny-')))
  symlinkSync('../../../srv/of-image', join(rootfs, 'linked'))
  await machine.ok('share', rootfs, '--name', 'tiny')
  const outside = join(sandbox.directory, 'outside')
  const cases: [directory: string, shown: string][] = [
    ['/app/data', '/app/data'],
    ['/linked/below', '/srv/of-image/below'],
    [`/../../..${outside}`, outside],
    ['/tmp/build', '/tmp/build'],
    ['/run/app', '/run/app']
  ]
  for (const [directory, shown] of cases) {
    const own = ['-w', directory, '--', ...SHOW_DIRECTORY]
    for (const way of WAYS.filter((_, n) => shown === '/app/data' || n === 0 || n === 7)) {
      const out = await machine.ok('boot', 'tiny', '--ephemeral', ...way, ...own)
      const expected = new RegExp(`^${shown}\ndrwxr-xr-x \\d+ 0 0 `)
      t.ok(expected.test(out), `${way.join(' ')} ${directory}: ${out}`)
    }
  }
  t.exception(() => readFileSync(outside), /ENOENT/, 'nothing is made outside')

  const one = mkdtempSync(join(sandbox.directory, 'one-'))
  writeFileSync(join(one, 'hello'), onlyProgram(), { mode: 0o755 })
  tool('tar', '-C', one, '-cf', `${one}.tar`, 'hello')
  const config = { config: { Cmd: ['/hello'], WorkingDir: '/app' } }
  const archive = readFileSync(`${one}.tar`)
  const layer = { content: archive, archive, mediaType: 'application/vnd.oci.image.layer.v1.tar' }
  const layout = handMadeImage(join(sandbox.directory, 'layout'), [layer], config)
  await machine.ok('share', layout, '--name', 'image')
  t.is(await machine.ok('boot', 'image', '--ephemeral'), 'hello from one file', "an image's")
})

/** What an image may have for /etc/resolv.conf, by what a container then finds there. */
const RESOLV_CONFS: Record<string, (path: string) => void> = {
  absent: () => {},
  'dangling into /run': (path) => symlinkSync('../run/systemd/resolve/stub-resolv.conf', path),
  'absolute into /run': (path) => symlinkSync('/run/resolvconf/resolv.conf', path),
  'dangling elsewhere': (path) => symlinkSync('../var/lib/missing/resolv.conf', path),
  'dangling out of it': (path) => symlinkSync('../../../../var/lib/of-host', path),
  'a symlink to a file': (path) => {
    writeFileSync(join(path, '../of-image'), 'nameserver 192.0.2.53\n')
    symlinkSync('of-image', path)
  },
  'a file': (path) => writeFileSync(path, 'nameserver 192.0.2.53\n')
}

test('names are resolved as this machine does, whatever /etc/resolv.conf is', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const machine = await sandbox.machine('machine')
  const expected = readFileSync('/etc/resolv.conf', 'utf8').trim()
  const rootfs = tinyRootfs(mkdtempSync(join(sandbox.directory, 'tiny-')))
  const path = join(rootfs, 'etc/resolv.conf')
  let update = ['--name', 'tiny']
  for (const [kind, plant] of Object.entries(RESOLV_CONFS)) {
    rmSync(path, { force: true })
    plant(path)
    await machine.ok('share', rootfs, ...update)
    update = ['--update', 'tiny']
    const all = ['absent', 'dangling into /run'].includes(kind)
    for (const way of all ? WAYS : [WAYS[0]!, WAYS[7]!]) {
      const own = ['--', '/bin/cat', '/etc/resolv.conf']
      const ran = await machine.run('boot', 'tiny', '--ephemeral', ...way, ...own)
      t.is(ran.stdout, expected, `${kind} ${way.join(' ')} ${ran.stderr}`)
    }
    const apart = ['--network', 'none', '--', '/bin/cat', '/etc/resolv.conf']
    const { stdout } = await machine.run('boot', 'tiny', '--ephemeral', ...apart)
    t.is(
      stdout,
      kind.endsWith('a file') ? 'nameserver 192.0.2.53' : '',
      `${kind}, without a network`
    )
  }
  rmSync(path)
  tool('mkfifo', path)
  await machine.ok('share', rootfs, '--update', 'tiny')
  const own = ['--', '/bin/sh', '-c', 'echo nobody waits']
  t.is(await machine.ok('boot', 'tiny', '--ephemeral', ...own), 'nobody waits', 'a FIFO')
})

test('an init image without os-release boots', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const machine = await sandbox.machine('machine')
  const rootfs = scriptInitRootfs()
  rmSync(join(rootfs, 'etc/os-release'))
  symlinkSync('../run/systemd/resolve/stub-resolv.conf', join(rootfs, 'etc/resolv.conf'))
  await machine.ok('share', rootfs, '--name', 'init')
  const expected = readFileSync('/etc/resolv.conf', 'utf8').trim()
  for (const way of WAYS) {
    await machine.ok('boot', 'init', '--name', 'up', '--rm', '--detach', ...way)
    const shown = await machine.ok('exec', 'up', '--', 'cat', '/etc/resolv.conf')
    t.is(shown, expected, way.join(' '))
    await machine.ok('rm', '--force', 'up')
  }
})

test('systemd boots where /etc/resolv.conf leads into its /run', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const machine = await sandbox.machine('machine')
  const rootfs = join(sandbox.directory, 'debian')
  cpSync(debianRootfs(), rootfs, { recursive: true, verbatimSymlinks: true })
  const path = join(rootfs, 'etc/resolv.conf')
  rmSync(path, { force: true })
  symlinkSync('../run/systemd/resolve/stub-resolv.conf', path)
  await machine.ok('share', rootfs, '--name', 'systemd')
  const expected = readFileSync('/etc/resolv.conf', 'utf8').trim()
  for (const way of [[], ['--private-users', 'no'], ['--mount', 'fuse'], ['--read-only']]) {
    await machine.ok('boot', 'systemd', '-n', 'up', '--rm', '-d', '--wait', 'ready', ...way)
    t.is(await machine.ok('exec', 'up', '--', 'cat', '/etc/resolv.conf'), expected, way.join(' '))
    await machine.ok('rm', '--force', 'up')
  }
})
