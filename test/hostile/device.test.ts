import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import test from 'brittle'
import type { Shared } from '../e2e/results.ts'
import { LONG, Sandbox, type Machine } from '../e2e/sandbox.ts'
import { tinyRootfs } from '../e2e/tiny-rootfs.ts'
import { VictimDevice } from './victim.ts'

const DISK = 'disk of this machine'
const PROGRAMS = ['head', 'mknod', 'mount', 'mkdir', 'grep']

/** What a container's root tries, one line for each disk that it gets to. */
const ATTACK = `
grep -q 'ID=tiny' /etc/os-release && echo booted
look() { head --bytes=${DISK.length} "$1" && echo " by $2"; }
look /usr/bin/victim image
spoil() { echo spoilt > "$1"; }
spoil /usr/bin/victim
mount -o remount,dev,bind / && look /usr/bin/victim remount
for place in /tmp /dev /run /root; do
  mknod "$place/made" b "$MAJOR" "$MINOR" && look "$place/made" "$place" && spoil "$place/made"
done
mkdir /tmp/mounted && mount -t tmpfs tmpfs /tmp/mounted &&
  mknod /tmp/mounted/made b "$MAJOR" "$MINOR" && look /tmp/mounted/made mounted
mkdir /tmp/devices && mount -t cgroup -o devices cgroup /tmp/devices &&
  for rules in /tmp/devices/devices.allow /tmp/devices/*/devices.allow /sys/fs/cgroup/devices/devices.allow; do
    echo a > "$rules"
  done
look /usr/bin/victim rules
for place in /tmp /dev /run; do look "$place/made" "rules and $place"; done
true
`

const ISOLATIONS: readonly (readonly string[])[] = [
  [],
  ['--mount', 'fuse'],
  ['--id-mapping', 'served'],
  ['--private-users', 'no'],
  ['--private-users', 'no', '--cap-drop', 'all'],
  ['--private-users', 'no', '--cap-add', 'mknod', '--network', 'private']
]

void test('no device node of an image, or made in a container, reaches a disk', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const machine = await sandbox.machine('machine')
  using victim = new VictimDevice(sandbox.directory, DISK)
  const link = await shareHostile(machine, sandbox.directory, victim)
  for (const isolation of ISOLATIONS) {
    const title = isolation.join(' ') || 'default options'
    const ran = await machine.run('boot', link, '--ephemeral', ...isolation, ...attack(victim))
    t.is(ran.stdout, 'booted', `${title}: it runs and sees no disk`)
    t.ok(victim.isIntact, `${title}: it wrote to none`)
  }
})

void test('a device that is given is the only one', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const machine = await sandbox.machine('machine')
  using victim = new VictimDevice(sandbox.directory, DISK)
  using other = new VictimDevice(sandbox.directory, 'another disk')
  const link = await shareHostile(machine, sandbox.directory, victim)
  const boot = async (options: readonly string[], script: string): Promise<string> => {
    const argv = ['boot', link, '--ephemeral', ...options, '--', 'sh', '-c', script]
    return (await machine.run(...argv)).stdout
  }
  const read = `head --bytes=${DISK.length} /dev/disk0`
  for (const users of ['auto', 'no']) {
    const given = ['--private-users', users, '--device', `${victim.path}:/dev/disk0`]
    t.is(await boot(given, read), DISK, `${users}: it is where it was asked for`)
    t.is(await boot([...given, '--cap-drop', 'all'], read), DISK, `${users}: without capabilities`)
    const others = `mknod /dev/o b ${other.major} ${other.minor}; head --bytes=12 /dev/o`
    t.is(await boot([...given, '--cap-add', 'mknod'], others), '', `${users}: no other is`)
    const readOnly = [...given.slice(0, 3), `${victim.path}:/dev/disk0:r`]
    t.is(await boot(readOnly, `${read}; echo spoilt > /dev/disk0`), DISK)
    t.ok(victim.isIntact, `${users}: what is given to be read is not written to`)
    t.is(
      (await machine.run('boot', link, '--ephemeral', '--device', '/etc:/x', '--', 'true'))
        .exitCode,
      2
    )
  }
  await boot(['--device', `${victim.path}:/dev/disk0:w`], 'echo spoilt > /dev/disk0')
  t.absent(victim.isIntact, 'one to be written to is')
})

void test('with --privileged, devices are the machine’s', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const machine = await sandbox.machine('machine')
  using victim = new VictimDevice(sandbox.directory, DISK)
  const link = await shareHostile(machine, sandbox.directory, victim)
  const ran = await machine.run('boot', link, '--ephemeral', '--privileged', ...attack(victim))
  const seen = ran.stdout.split('\n')
  t.ok(seen.includes(`${DISK} by image`), 'the probe finds a disk that can be reached')
  t.absent(victim.isIntact, 'and writes to it')
  const found = ['boot', link, '--ephemeral', '--privileged', '--', 'ls', victim.path]
  t.is(await machine.ok(...found), victim.path)
})

function attack({ major, minor }: VictimDevice): string[] {
  const numbers = ['-e', `MAJOR=${major}`, '-e', `MINOR=${minor}`]
  return [...numbers, '--', 'sh', '-c', ATTACK]
}

async function shareHostile(
  machine: Machine,
  directory: string,
  victim: VictimDevice
): Promise<string> {
  const root = tinyRootfs(join(directory, 'hostile'), PROGRAMS)
  victim.nodeAt(join(root, 'usr/bin/victim'))
  execFileSync('chmod', ['666', join(root, 'usr/bin/victim')])
  return (await machine.json<Shared>('share', root)).link
}
