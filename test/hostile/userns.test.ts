import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  copyFileSync,
  mkdirSync,
  readFileSync,
  statSync,
  writeFileSync
} from 'node:fs'
import { join } from 'node:path'
import test from 'brittle'
import type { Shared } from '../e2e/results.ts'
import { LONG, Sandbox } from '../e2e/sandbox.ts'
import { tinyRootfs } from '../e2e/tiny-rootfs.ts'
import { setFileCapability } from './file-capability.ts'
import { openToUsers, runAsUser } from './local-user.ts'

interface Booted {
  readonly leader: number
  readonly rootfs: string
  readonly idRange: { readonly base: number; readonly count: number } | null
}

const PROGRAMS = ['stat', 'chown', 'chmod', 'rm', 'ln', 'mkdir']
const CAP_DAC_OVERRIDE = 1
const WEB = 33
const USER = 1000

const MAPPINGS: readonly (readonly string[])[] = [
  ['--mount', 'erofs'],
  ['--mount', 'fuse'],
  ['--mount', 'erofs', '--id-mapping', 'served'],
  ['--mount', 'fuse', '--id-mapping', 'served']
]

for (const mapping of MAPPINGS) {
  void test(`a container’s ids are its own (${mapping.join(' ')})`, LONG, async (t) => {
    await using sandbox = await Sandbox.open()
    const machine = await sandbox.machine('machine')
    const { link } = await machine.json<Shared>('share', imageRoot(sandbox.directory))
    const wait = ['-d', '--wait', 'ready']
    const boot = ['boot', link, '-n', 'one', ...wait, ...mapping, '--', 'sleep', '1000']
    const one = await machine.json<Booted>(...boot)
    const base = one.idRange?.base ?? 0
    t.ok(base >= 0x7000_0000 && base % 65_536 === 0 && one.idRange?.count === 65_536)

    const inside = async (script: string, ...user: string[]): Promise<string> =>
      machine.ok('exec', ...user, 'one', '--', 'sh', '-c', script)
    const attributes = 'stat -c "%u %g %a" '
    t.is(await inside(`${attributes} /etc/mine /etc/webs`), '0 0 644\n33 33 640')
    // systemd-nspawn tells of it before it gives its rights away; exec waits for that.
    t.is(uidOf(one.leader), base, 'its root is nobody of this machine')
    await inside('echo more >> /etc/webs; chmod 4711 /etc/mine; chown 33:0 /etc/moved')
    await inside('mkdir /srv; echo new > /srv/new; rm /etc/gone; ln /etc/linked /srv/linked')
    const changed = '0 0 4711\n33 33 640\n33 0 644\n0 0 644'
    t.is(await inside(`${attributes} /etc/mine /etc/webs /etc/moved /srv/new`), changed)
    t.is(await inside('cat /etc/webs'), 'content\nmore', 'appended to what the image has')

    const upper = join(machine.home, 'containers/one/upper')
    const onDisk = (path: string): number[] => {
      const { uid, gid, mode } = statSync(join(upper, path))
      return [uid - base, gid - base, mode & 0o7777]
    }
    t.alike(onDisk('etc/webs'), [WEB, WEB, 0o640], 'copied up with its owner')
    t.alike(onDisk('etc/mine'), [0, 0, 0o4711])
    t.alike(onDisk('etc/moved'), [WEB, 0, 0o644])
    t.alike(onDisk('srv/new'), [0, 0, 0o644])

    const asUser = ['--user', String(USER)]
    t.is(await inside('cat /root/secret 2>/dev/null || echo no', ...asUser), 'no')
    t.is(
      await inside('setuid-cat /root/secret', ...asUser),
      'secret',
      'setuid programs work inside'
    )
    t.is(await inside('capable-cat /root/secret', ...asUser), 'secret', 'so do file capabilities')
    t.is(await inside('cat /etc/shown', ...asUser), 'to user 1000', 'and ACLs')

    await machine.ok('stop', 'one')
    const again = await machine.json<Booted>(...boot)
    t.alike(again.idRange, one.idRange, 'booted again, it has the same')
    t.is(await inside('cat /srv/new'), 'new')
    const [listed] = await machine.json<Booted[]>('ps')
    t.alike(listed?.idRange, one.idRange, 'ps shows them')
    for (const other of ['--privileged', '--private-users=no']) {
      await machine.ok('stop', 'one').catch(() => {})
      const refused = await machine.run('boot', link, '-n', 'one', other, '--', 'true')
      t.is(refused.exitCode, 1, `what it has is not changed by ${other}`)
    }
  })
}

void test('no range is given twice', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const machines = await Promise.all(['a', 'b'].map((name) => sandbox.machine(name)))
  const [first] = machines
  if (first === undefined) throw new Error('no machine')
  const { link } = await first.json<Shared>('share', imageRoot(sandbox.directory))
  const boot = async (machine: typeof first, name: string): Promise<number> => {
    const run = ['boot', link, '-n', name, '-d', '--', 'sleep', '1000']
    return (await machine.json<Booted>(...run)).idRange?.base ?? 0
  }
  const both = machines.flatMap((machine) => ['one', 'two'].map((name) => boot(machine, name)))
  const bases = await Promise.all(both)
  t.is(new Set(bases).size, 4, `two homes, two containers at once: ${bases.join(' ')}`)
  await first.ok('rm', '--force', 'one')
  const later = await boot(first, 'one')
  t.absent(bases.includes(later), 'one of the same name that comes later has others')
})

void test('a container without ids of its own says so, and is asked for', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const machine = await sandbox.machine('machine')
  const { link } = await machine.json<Shared>('share', imageRoot(sandbox.directory))
  const boot = ['boot', link, '-n', 'one', '-d']
  const one = await machine.json<Booted>(...boot, '--private-users', 'no', '--', 'sleep', '1000')
  t.is(one.idRange, null)
  t.is(uidOf(one.leader), 0)
  await machine.ok('stop', 'one')
  const again = await machine.json<Booted>(...boot, '--', 'sleep', '1000')
  t.is(again.idRange, null, 'and it stays so: its files are this machine’s root’s')
  await machine.ok('stop', 'one')
  const refused = await machine.run(...boot, '--private-users', 'auto', '--', 'true')
  t.is(refused.exitCode, 1)
})

void test('what is bound in has the owners that it has here', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const machine = await sandbox.machine('machine')
  const { link } = await machine.json<Shared>('share', imageRoot(sandbox.directory))
  const shared = join(sandbox.directory, 'shared')
  mkdirSync(join(shared, 'webs'), { recursive: true })
  chownSync(join(shared, 'webs'), WEB, WEB)
  mkdirSync(join(shared, 'mounted'))
  spawnSync('mount', ['-t', 'tmpfs', 'tmpfs', join(shared, 'mounted')])
  try {
    const script =
      'stat -c "%u %g" /s/webs; echo root > /s/root; echo root > /s/mounted/root; cat /etc/one'
    const binds = ['-v', `${shared}:/s`, '-v', `${shared}/../one:/etc/one:ro`]
    writeFileSync(join(sandbox.directory, 'one'), 'one file')
    const boot = ['boot', link, '--ephemeral', ...binds]
    t.is(await machine.ok(...boot, '--', 'sh', '-c', script), '33 33\none file')
    t.is(statSync(join(shared, 'root')).uid, 0, 'what its root makes is this machine’s root’s')
    t.is(statSync(join(shared, 'mounted/root')).uid, 0, 'on a mount below, too')
    await machine.ok(...boot, '-u', String(WEB), '--', 'sh', '-c', 'echo web > /s/webs/web')
    t.is(statSync(join(shared, 'webs/web')).uid, WEB)
    const written = await machine.run(...boot, '--', 'sh', '-c', 'echo x > /etc/one')
    t.ok(written.exitCode !== 0, 'what is shown to be read is not written to')
    const proc = await machine.run('boot', link, '--ephemeral', '-v', '/proc:/p', '--', 'true')
    t.ok(proc.exitCode === 1 && proc.stderr.includes('--private-users no'), proc.stderr)
  } finally {
    spawnSync('umount', [join(shared, 'mounted')])
  }
})

for (const isolation of [[], ['--private-users', 'no', '--cap-drop', 'all']]) {
  const title = isolation.join(' ') || 'default options'
  void test(`a container’s root changes nothing of this machine (${title})`, LONG, async (t) => {
    await using sandbox = await Sandbox.open()
    const machine = await sandbox.machine('machine')
    openToUsers(sandbox.directory)
    const { link } = await machine.json<Shared>('share', imageRoot(sandbox.directory))
    const boot = ['boot', link, '-n', 'one', '-d', ...isolation, '--', 'sleep', '1000']
    const { rootfs, leader } = await machine.json<Booted>(...boot)
    const inside = async (script: string) => machine.run('exec', 'one', '--', 'sh', '-c', script)
    t.is((await inside('cat /etc/mine')).stdout, 'content', 'it runs')
    const parameter = '/proc/sys/kernel/panic_on_oops'
    const before = readFileSync(parameter, 'utf8')
    await inside(`echo 7 > ${parameter}; echo h > /proc/sysrq-trigger; echo 7 > ${parameter}`)
    t.is(readFileSync(parameter, 'utf8'), before, 'no kernel parameter')
    const secret = join(sandbox.directory, 'secret')
    writeFileSync(secret, 'secret', { mode: 0o600 })
    const source = join(sandbox.directory, 'image/usr/bin/setuid-cat')
    t.is(runAsUser(source, secret), 'secret', 'users here do get to a directory of the test')
    const byUser = (path: string): string => runAsUser(path, secret)
    t.is(byUser(join(rootfs, 'usr/bin/setuid-cat')), '', 'users here do not get to its programs')
    t.is(byUser(`/proc/${leader}/root/usr/bin/setuid-cat`), '')
    t.is(byUser(join(rootfs, 'usr/bin/capable-cat')), '')
    t.ok(rootfs.startsWith(sandbox.directory))
    const flags = mountOptions(rootfs)
    t.ok(flags.includes('nodev'), `its root is mounted ${flags}`)
  })
}

function mountOptions(mountPoint: string): string {
  const lines = readFileSync('/proc/self/mountinfo', 'utf8').split('\n')
  return lines.find((line) => line.split(' ')[4] === mountPoint)?.split(' ')[5] ?? ''
}

function uidOf(pid: number): number {
  return Number(/^Uid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])
}

function imageRoot(directory: string): string {
  const root = tinyRootfs(join(directory, 'image'), PROGRAMS)
  const file = (path: string, content: string, mode: number, owner = 0): void => {
    writeFileSync(join(root, path), content)
    chownSync(join(root, path), owner, owner)
    chmodSync(join(root, path), mode)
  }
  file('etc/mine', 'content\n', 0o644)
  file('etc/webs', 'content\n', 0o640, WEB)
  file('etc/moved', 'content\n', 0o644)
  file('etc/gone', 'content\n', 0o644)
  file('etc/linked', 'content\n', 0o644)
  file('etc/shown', 'to user 1000', 0o600)
  spawnSync('setfacl', ['-m', `user:${USER}:r`, join(root, 'etc/shown')])
  file('root/secret', 'secret', 0o600)
  chmodSync(join(root, 'root'), 0o755)
  for (const [name, mode] of [
    ['setuid-cat', 0o4755],
    ['capable-cat', 0o755]
  ] as const) {
    copyFileSync(join(root, 'usr/bin/cat'), join(root, 'usr/bin', name))
    chmodSync(join(root, 'usr/bin', name), mode)
  }
  setFileCapability(join(root, 'usr/bin/capable-cat'), 1 << CAP_DAC_OVERRIDE)
  return root
}
