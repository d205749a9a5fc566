import { arch as hostArch } from 'node:os'
import type { Arch } from './package-lock.ts'

/** What differs between the architectures that an image can be built for. */
export interface Target {
  readonly arch: Arch
  /** Prefix of GNU's tools and name of Debian's library folders. */
  readonly triplet: string
  /** Node's name of the architecture, as npm packages use it. */
  readonly nodeArch: 'x64' | 'arm64'
  /** `e_machine` of its ELF files (elf(5)). */
  readonly elfMachine: number
  /** The kernel's name of it, as `ARCH=` and as its folder below `arch/`. */
  readonly kernelArch: string
  /** What is built of the kernel, paths from its output folder: for QEMU's `-kernel`, and for EFI. */
  readonly kernelImage: string
  readonly kernelEfi: string
  /** xz's filter for its machine code. */
  readonly xzFilter: string
  /** Name in systemd's stub: `linuxx64.efi.stub`. */
  readonly efiName: string
}

export const TARGETS: Readonly<Record<Arch, Target>> = {
  amd64: {
    arch: 'amd64',
    triplet: 'x86_64-linux-gnu',
    nodeArch: 'x64',
    elfMachine: 62,
    kernelArch: 'x86',
    kernelImage: 'arch/x86/boot/bzImage',
    kernelEfi: 'arch/x86/boot/bzImage',
    xzFilter: '--x86',
    efiName: 'x64'
  },
  arm64: {
    arch: 'arm64',
    triplet: 'aarch64-linux-gnu',
    nodeArch: 'arm64',
    elfMachine: 183,
    kernelArch: 'arm64',
    // QEMU unpacks gzip and, before version 8, nothing else; EFI unpacks nothing by itself.
    kernelImage: 'arch/arm64/boot/Image.gz',
    kernelEfi: 'arch/arm64/boot/vmlinuz.efi',
    xzFilter: '--arm64',
    efiName: 'aa64'
  }
}

/** Whether programs of the target run here. */
export function isNative(target: Target): boolean {
  return hostArch() === target.nodeArch
}

/** What stands before the names of GNU's tools for a target: nothing on a machine of its kind. */
export function toolPrefix(target: Target): string {
  return isNative(target) ? '' : `${target.triplet}-`
}
