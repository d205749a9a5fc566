import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, renameSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { tinyRootfs } from '../e2e/tiny-rootfs.ts'

/** Programs that something outside might think of running in an image. */
const LURES = [
  ...['systemctl', 'systemd-notify', 'systemd-run', 'journalctl', 'loginctl', 'machinectl'],
  ...['busctl', 'getent', 'nsenter', 'setpriv', 'script', 'mount', 'umount', 'sh', 'bash', 'env'],
  ...['id', 'ps', 'cat', 'ls', 'hostname', 'kill', 'true', 'losetup', 'unshare', 'ip']
]
const PLACES = ['usr/bin', 'usr/sbin', 'usr/local/bin', 'usr/local/sbin']

/**
 * A hostile image: whatever program of it is run, a probe runs instead, which notes in `/fired` by what name
 * it was called, with which capabilities and filter and in which user namespace, and overwrites the first
 * bytes of the host's device `device` when it can.
 *
 * Its init does as systemd would, by programs that nobody else knows of: it makes systemd's socket, calls
 * one probe itself as a control, and notes in `/up` what it is confined to.
 *
 * @param device `major:minor` of a block device of the host
 */
export function probeRootfs(device: string): string {
  const rootfs = tinyRootfs(mkdtempSync(join(tmpdir(), 'dc-hostile-')), [
    ...['grep', 'readlink', 'mknod', 'dd', 'mkdir', 'tr']
  ])
  const real = join(rootfs, 'opt/real')
  mkdirSync(real, { recursive: true })
  for (const program of readdirSync(join(rootfs, 'usr/bin'))) {
    renameSync(join(rootfs, 'usr/bin', program), join(real, program))
  }
  const [major = '', minor = ''] = device.split(':')
  const confined =
    '$(/opt/real/grep -E "^(CapEff|Seccomp):" /proc/self/status | /opt/real/tr -d "\\n")' +
    ' $(/opt/real/readlink /proc/self/ns/user)'
  const probe = `#!/opt/real/sh
echo "$0 $* ${confined}" >> /fired
/opt/real/mknod /run/host-$$ b ${major} ${minor} &&
  echo reached | /opt/real/dd of=/run/host-$$ conv=notrunc
exit 1
`
  const init = `#!/opt/real/sh
/opt/real/mkdir -p /run/systemd
echo > /run/systemd/private
/usr/bin/systemctl control
echo "init ${confined}" > /up
while :; do /opt/real/sleep 0.1; done
`
  for (const place of PLACES) mkdirSync(join(rootfs, place), { recursive: true })
  execFileSync('ln', ['-sfn', 'usr/sbin', join(rootfs, 'sbin')])
  for (const place of PLACES) {
    for (const lure of LURES) writeProgram(join(rootfs, place, lure), probe)
  }
  writeProgram(join(rootfs, 'usr/sbin/init'), init)
  return rootfs
}

function writeProgram(path: string, text: string): void {
  writeFileSync(path, text)
  chmodSync(path, 0o755)
}
