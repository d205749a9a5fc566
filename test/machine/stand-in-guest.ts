import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'

const CACHE = fileURLToPath(new URL('../../../.cache/stand-in-guest', import.meta.url))
const PACKAGES = ['busybox-static', 'dropbear-bin', 'libtomcrypt1', 'libtommath1', 'libgmp10']
const KERNEL_PACKAGE = 'linux-image-cloud-amd64'
/** In the order in which they need each other. */
const MODULES = [
  'virtio_ring',
  'virtio',
  'virtio_pci_legacy_dev',
  'virtio_pci_modern_dev',
  'virtio_pci',
  'failover',
  'net_failover',
  'virtio_net',
  'virtio_blk',
  'button',
  'evdev'
]
const LIBRARIES = ['libtomcrypt.so.1', 'libtommath.so.1', 'libgmp.so.10']
const HOST_LIBRARIES = ['libz.so.1', 'libcrypt.so.1', 'libc.so.6']
const LOADER = '/lib64/ld-linux-x86-64.so.2'

/** Reads the same words of the command line as HyperOS does, and nothing else of it. */
const INIT = `#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
mkdir -p /dev/pts; mount -t devpts pts /dev/pts
for word in $(cat /proc/cmdline); do
  case $word in
    host=*) hostname "\${word#host=}" ;;
    sshkey64=*) mkdir -p -m 700 /root/.ssh; echo "\${word#sshkey64=}" | base64 -d > /root/.ssh/authorized_keys ;;
    stand-in.panic) echo c > /proc/sysrq-trigger ;;
    stand-in.mute) mute=1 ;;
  esac
done
chmod 600 /root/.ssh/authorized_keys
for module in ${MODULES.join(' ')}; do insmod /modules/$module.ko; done
ip link set lo up; ip link set eth0 up; ip address add 10.0.2.15/24 dev eth0; ip route add default via 10.0.2.2
[ "$mute" ] && { echo stand-in is mute; sleep 100000; }
mkdir -p /etc/dropbear
# The power button, as evdev has it: any key ends it.
for event in /dev/input/event*; do (head -c 24 $event > /dev/null; echo stand-in powers off; poweroff -f) & done
echo stand-in is up
dropbear -R -F -E -s -j -k
`

/** A Linux of Debian's kernel, busybox and dropbear: what tests start where no HyperOS is built. */
export function standInGuest(): { kernel: string; initrd: string } {
  const guest = { kernel: join(CACHE, 'vmlinuz'), initrd: join(CACHE, 'initrd') }
  if (existsSync(guest.kernel) && existsSync(guest.initrd)) return guest
  const work = `${CACHE}.${process.pid}`
  rmSync(work, { recursive: true, force: true })
  try {
    makeGuest(work)
    rmSync(CACHE, { recursive: true, force: true })
    mkdirSync(CACHE, { recursive: true })
    for (const name of ['initrd', 'vmlinuz']) renameSync(join(work, name), join(CACHE, name))
    return guest
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

function makeGuest(work: string): void {
  const downloads = join(work, 'downloads')
  const unpacked = join(work, 'unpacked')
  const root = join(work, 'root')
  for (const directory of [downloads, unpacked]) mkdirSync(directory, { recursive: true })
  const depends = execFileSync('apt-cache', ['depends', KERNEL_PACKAGE], { encoding: 'utf8' })
  const kernelPackage = /Depends: (linux-image-\S+)/.exec(depends)?.[1]
  if (kernelPackage === undefined) throw new Error(`no package ${KERNEL_PACKAGE}`)
  execFileSync('apt-get', ['download', '-q', kernelPackage, ...PACKAGES], {
    cwd: downloads,
    stdio: ['ignore', 'ignore', 'pipe']
  })
  for (const name of readdirSync(downloads)) {
    execFileSync('dpkg', ['-x', join(downloads, name), unpacked])
  }
  for (const directory of ['bin', 'sbin', 'proc', 'sys', 'dev', 'etc', 'root', 'modules', 'tmp']) {
    mkdirSync(join(root, directory), { recursive: true })
  }
  const place = (source: string, target: string): void => {
    mkdirSync(dirname(join(root, target)), { recursive: true })
    copyFileSync(source, join(root, target))
  }
  const files = readdirSync(unpacked, { recursive: true, encoding: 'utf8' })
  const find = (name: string): string => {
    const found = files.find((file) => basename(file) === name)
    if (found === undefined) throw new Error(`no ${name} in Debian's packages`)
    return join(unpacked, found)
  }
  place(join(unpacked, 'bin/busybox'), 'bin/busybox')
  place(join(unpacked, 'usr/sbin/dropbear'), 'bin/dropbear')
  for (const name of LIBRARIES) place(find(name), `lib/x86_64-linux-gnu/${name}`)
  for (const name of HOST_LIBRARIES) {
    place(`/lib/x86_64-linux-gnu/${name}`, `lib/x86_64-linux-gnu/${name}`)
  }
  place(LOADER, LOADER)
  for (const name of MODULES) place(find(`${name}.ko`), `modules/${name}.ko`)
  writeFileSync(join(root, 'init'), INIT)
  chmodSync(join(root, 'init'), 0o755)
  writeFileSync(join(root, 'etc/passwd'), 'root::0:0:root:/root:/bin/sh\n')
  writeFileSync(join(root, 'etc/shells'), '/bin/sh\n')
  symlinkSync('busybox', join(root, 'bin/sh'))
  const names = ['.', ...readdirSync(root, { recursive: true, encoding: 'utf8' })]
  const archive = execFileSync(join(root, 'bin/busybox'), ['cpio', '-o', '-H', 'newc'], {
    cwd: root,
    input: names.join('\n'),
    maxBuffer: 64 * 1024 ** 2,
    stdio: ['pipe', 'pipe', 'ignore']
  })
  writeFileSync(join(work, 'initrd'), gzipSync(archive, { level: 1 }))
  copyFileSync(
    join(unpacked, 'boot', basename(find(`vmlinuz-${kernelPackage.slice('linux-image-'.length)}`))),
    join(work, 'vmlinuz')
  )
}
