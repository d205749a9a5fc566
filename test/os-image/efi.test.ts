import { copyFile, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'brittle'
import { execa } from 'execa'
import { cannotStart, Guest, IMAGE } from './guest.ts'

/** Debian's `ovmf`: code, and variables that a machine has a copy of. */
const FIRMWARE = '/usr/share/OVMF/OVMF_CODE_4M.fd'
const VARIABLES = '/usr/share/OVMF/OVMF_VARS_4M.fd'
const EFI_IMAGE = join(IMAGE, 'hyperos.efi')

const reason =
  (await cannotStart()) ??
  [FIRMWARE, VARIABLES, EFI_IMAGE]
    .filter((path) => !existsSync(path))
    .map((path) => `${path} is absent`)[0]
const title = 'the EFI image starts from a FAT disk, and takes key and name as credentials'

void test(
  reason === undefined ? title : `${title} (${reason})`,
  { timeout: 15 * 60_000, skip: reason !== undefined },
  async (t) => {
    const directory = await mkdtemp(join(tmpdir(), 'dat-efi-'))
    t.teardown(() => rm(directory, { recursive: true, force: true }))
    const keyFile = join(directory, 'key')
    await execa('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', keyFile])
    const key = (await readFile(`${keyFile}.pub`)).toString('base64')
    // Where firmware looks on a disk that nothing was said of.
    await mkdir(join(directory, 'disk/EFI/BOOT'), { recursive: true })
    await copyFile(EFI_IMAGE, join(directory, 'disk/EFI/BOOT/BOOTX64.EFI'))
    const variables = join(directory, 'variables')
    await copyFile(VARIABLES, variables)

    const credential = 'type=11,value=io.systemd.credential'
    await using guest = await Guest.start({
      directory,
      keyFile,
      machine: {
        program: 'qemu-system-x86_64',
        argv: [
          ...['-M', 'q35', '-accel', 'tcg', '-cpu', 'max', '-m', '1024', '-smp', '2'],
          ...['-drive', `if=pflash,format=raw,readonly=on,file=${FIRMWARE}`],
          ...['-drive', `if=pflash,format=raw,file=${variables}`],
          ...[
            '-drive',
            `if=none,id=efi,format=raw,readonly=on,file=fat:${join(directory, 'disk')}`
          ],
          ...['-device', 'virtio-blk-pci,drive=efi'],
          ...['-smbios', `${credential}.binary:ssh.authorized_keys.root=${key}`],
          ...['-smbios', `${credential}:system.hostname=gamma`]
        ]
      }
    })
    t.is(await guest.ok('hostname'), 'gamma')
    t.is(await guest.ok('systemctl is-system-running --wait'), 'running')
    t.ok(await guest.ok('test -d /sys/firmware/efi && echo yes'), 'firmware started it')
    t.ok((await guest.ok('cat /proc/cmdline')).startsWith('console=ttyS0'), 'the image’s own words')
    await guest.powerOff()
  }
)
