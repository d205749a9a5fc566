/** The kinds of machines, in words that records, plans and images share. */

import * as v from 'valibot'
import type { Shape } from '../../core/record-format.ts'

export type Platform = 'linux' | 'darwin' | 'win32'
export type Architecture = 'x64' | 'arm64'
export type Accelerator = 'kvm' | 'hvf' | 'whpx' | 'tcg'
export type MachineType = 'q35' | 'microvm' | 'virt'

/** Shapes of these in files. */
export const architecture = v.picklist(['x64', 'arm64'])
export const accelerator = v.picklist(['kvm', 'hvf', 'whpx', 'tcg'])
export const machineType = v.picklist(['q35', 'microvm', 'virt'])

/** The place at which QEMU listens for its control protocol, QMP. */
export type ControlPlace =
  { readonly kind: 'unix'; readonly path: string } | { readonly kind: 'tcp'; readonly port: number }

/** The shape of a {@link ControlPlace} in a file. */
export const controlPlace: Shape<ControlPlace> = v.variant('kind', [
  v.looseObject({ kind: v.literal('unix'), path: v.string() }),
  v.looseObject({ kind: v.literal('tcp'), port: v.number() })
])

/** Names that people and other programs have for architectures. */
export const ARCHITECTURES: Readonly<Record<string, Architecture>> = {
  x64: 'x64',
  amd64: 'x64',
  x86_64: 'x64',
  arm64: 'arm64',
  aarch64: 'arm64'
}

/** Names an architecture as Debian does, which commands and manifests use. */
export function archName(architecture: Architecture): 'amd64' | 'arm64' {
  return architecture === 'x64' ? 'amd64' : 'arm64'
}

/** Names the serial port that `planQemu` logs, as the kernel does. */
export function serialConsole(architecture: Architecture): string {
  return architecture === 'x64' ? 'ttyS0' : 'ttyAMA0'
}
