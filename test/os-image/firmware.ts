import { existsSync } from 'node:fs'
import { copyFile, mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { findProgram } from '../../src/machine/qemu/find-qemu.ts'
import { IMAGE, type GuestMachine } from './guest.ts'

/** A machine whose EFI firmware looks on its disks for something to start. */
export interface Firmware {
  readonly arch: string
  readonly image: string
  readonly program: string
  readonly machine: readonly string[]
  /** Files of a Debian package: code, and variables that a machine has a copy of. */
  readonly code: string
  readonly variables: string
  /** Where firmware looks on a disk that nothing was said of. */
  readonly place: string
  /** All that the image's own command line says. */
  readonly commandLine: string
}

export const FIRMWARE: Readonly<Record<'amd64' | 'arm64', Firmware>> = {
  amd64: {
    arch: 'amd64',
    image: join(IMAGE, 'hyperos.efi'),
    program: 'qemu-system-x86_64',
    machine: ['-M', 'q35', '-cpu', 'max'],
    code: '/usr/share/OVMF/OVMF_CODE_4M.fd',
    variables: '/usr/share/OVMF/OVMF_VARS_4M.fd',
    place: 'EFI/BOOT/BOOTX64.EFI',
    commandLine: 'console=ttyS0'
  },
  arm64: {
    arch: 'arm64',
    image: join(dirname(IMAGE), 'dist-arm64/hyperos.efi'),
    program: 'qemu-system-aarch64',
    machine: ['-M', 'virt', '-cpu', 'max,pauth-impdef=on'],
    code: '/usr/share/AAVMF/AAVMF_CODE.fd',
    variables: '/usr/share/AAVMF/AAVMF_VARS.fd',
    place: 'EFI/BOOT/BOOTAA64.EFI',
    commandLine: 'console=ttyAMA0'
  }
}

/** Why such a machine cannot be started here, or undefined. */
export function missing({ image, code, variables, program }: Firmware): string | undefined {
  if (findProgram('linux', program) === undefined) return `there is no ${program}`
  const absent = [image, code, variables].find((path) => !existsSync(path))
  return absent === undefined ? undefined : `${absent} is absent`
}

/** A machine that has HyperOS as one file on a FAT disk, and is told of nothing else. */
export async function firmwareMachine(
  firmware: Firmware,
  directory: string
): Promise<GuestMachine> {
  const disk = join(directory, 'efi-disk')
  await mkdir(join(disk, dirname(firmware.place)), { recursive: true })
  await copyFile(firmware.image, join(disk, firmware.place))
  const variables = join(directory, 'variables')
  await copyFile(firmware.variables, variables)
  return {
    program: firmware.program,
    argv: [
      ...[...firmware.machine, '-accel', 'tcg', '-m', '1024', '-smp', '2'],
      ...['-drive', `if=pflash,format=raw,readonly=on,file=${firmware.code}`],
      ...['-drive', `if=pflash,format=raw,file=${variables}`],
      ...['-drive', `if=none,id=efi,format=raw,readonly=on,file=fat:${disk}`],
      ...['-device', 'virtio-blk-pci,drive=efi']
    ]
  }
}

/** What firmware tells a guest of itself: the credential that lets a key in, and the host's name. */
export function credentials(publicKey: string, hostname: string): string[] {
  const credential = 'type=11,value=io.systemd.credential'
  const key = Buffer.from(`${publicKey}\n`).toString('base64')
  return [
    ...['-smbios', `${credential}.binary:ssh.authorized_keys.root=${key}`],
    ...['-smbios', `${credential}:system.hostname=${hostname}`]
  ]
}
