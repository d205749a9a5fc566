import { copyFile, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { tmpdir } from 'node:os'
import test from 'brittle'
import { execa } from 'execa'
import { findProgram } from '../../src/machine/qemu/find-qemu.ts'
import { Guest, IMAGE } from './guest.ts'

interface Firmware {
  readonly arch: string
  readonly image: string
  readonly program: string
  readonly machine: readonly string[]
  /** Files of a Debian package: code, and variables that a machine has a copy of. */
  readonly code: string
  readonly variables: string
  /** Where firmware looks on a disk that nothing was said of. */
  readonly place: string
  readonly console: string
}

const TABLE: readonly Firmware[] = [
  {
    arch: 'amd64',
    image: join(IMAGE, 'hyperos.efi'),
    program: 'qemu-system-x86_64',
    machine: ['-M', 'q35', '-cpu', 'max'],
    code: '/usr/share/OVMF/OVMF_CODE_4M.fd',
    variables: '/usr/share/OVMF/OVMF_VARS_4M.fd',
    place: 'EFI/BOOT/BOOTX64.EFI',
    console: 'console=ttyS0'
  },
  {
    arch: 'arm64',
    image: join(dirname(IMAGE), 'dist-arm64/hyperos.efi'),
    program: 'qemu-system-aarch64',
    machine: ['-M', 'virt', '-cpu', 'max,pauth-impdef=on'],
    code: '/usr/share/AAVMF/AAVMF_CODE.fd',
    variables: '/usr/share/AAVMF/AAVMF_VARS.fd',
    place: 'EFI/BOOT/BOOTAA64.EFI',
    console: 'console=ttyAMA0'
  }
]

/** Why a guest cannot be started here, or undefined. */
function missing({ image, code, variables, program }: Firmware): string | undefined {
  if (findProgram('linux', program) === undefined) return `there is no ${program}`
  const absent = [image, code, variables].find((path) => !existsSync(path))
  return absent === undefined ? undefined : `${absent} is absent`
}

for (const firmware of TABLE) {
  const title = `${firmware.arch}: the EFI image starts from a FAT disk, with key and name as credentials`
  const reason = missing(firmware)
  void test(
    reason === undefined ? title : `${title} (${reason})`,
    { timeout: 15 * 60_000, skip: reason !== undefined },
    async (t) => {
      const directory = await mkdtemp(join(tmpdir(), 'dat-efi-'))
      t.teardown(() => rm(directory, { recursive: true, force: true }))
      const keyFile = join(directory, 'key')
      await execa('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', keyFile])
      const key = (await readFile(`${keyFile}.pub`)).toString('base64')
      const disk = join(directory, 'disk')
      await mkdir(join(disk, dirname(firmware.place)), { recursive: true })
      await copyFile(firmware.image, join(disk, firmware.place))
      const variables = join(directory, 'variables')
      await copyFile(firmware.variables, variables)

      const credential = 'type=11,value=io.systemd.credential'
      await using guest = await Guest.start({
        directory,
        keyFile,
        machine: {
          program: firmware.program,
          argv: [
            ...[...firmware.machine, '-accel', 'tcg', '-m', '1024', '-smp', '2'],
            ...['-drive', `if=pflash,format=raw,readonly=on,file=${firmware.code}`],
            ...['-drive', `if=pflash,format=raw,file=${variables}`],
            ...['-drive', `if=none,id=efi,format=raw,readonly=on,file=fat:${disk}`],
            ...['-device', 'virtio-blk-pci,drive=efi'],
            ...['-smbios', `${credential}.binary:ssh.authorized_keys.root=${key}`],
            ...['-smbios', `${credential}:system.hostname=gamma`]
          ]
        }
      })
      t.is(await guest.ok('hostname'), 'gamma')
      t.is(await guest.ok('systemctl is-system-running --wait'), 'running')
      t.ok(await guest.ok('test -d /sys/firmware/efi && echo yes'), 'firmware started it')
      t.is(await guest.ok('cat /proc/cmdline'), firmware.console, 'the image’s own words')
      await guest.powerOff()
    }
  )
}
