import { resolvePath } from '../tree/resolve-path.ts'
import type { StartCommand } from '../format/manifest.ts'
import type { Tree } from '../tree/tree.ts'

/** Programs that every system has one of. */
const PROGRAMS = ['/bin/sh', '/usr/bin/env', '/sbin/init', '/bin/busybox', '/usr/bin/bash']
const INITS = ['/sbin/init', '/lib/systemd/systemd', '/usr/lib/systemd/systemd']

/** `e_machine` of 64-bit little-endian programs, and names as Debian and Go give them. */
const MACHINES_64: Readonly<Record<number, string>> = {
  21: 'ppc64le',
  62: 'amd64',
  183: 'arm64',
  243: 'riscv64',
  258: 'loong64'
}
const MACHINES_32: Readonly<Record<number, string>> = { 3: '386', 40: 'arm' }
const MACHINES_64_BIG: Readonly<Record<number, string>> = { 21: 'ppc64', 22: 's390x' }
const HOST_ARCH: Readonly<Record<string, string>> = { x64: 'amd64', ia32: '386' }
const ELF_HEADER_BYTES = 20

/**
 * The architecture a file's first bytes claim, or undefined for anything but a known ELF.
 *
 * @see elf(5): class in byte 4, byte order in byte 5, e_machine in bytes 18 and 19
 */
export function elfArch(content: Uint8Array): string | undefined {
  if (content.length < ELF_HEADER_BYTES || content[0] !== 0x7f) return undefined
  if (content[1] !== 0x45 || content[2] !== 0x4c || content[3] !== 0x46) return undefined
  const [low, high] = content[5] === 1 ? [18, 19] : [19, 18]
  const machine = content[low]! | (content[high]! << 8)
  if (content[4] === 1) return MACHINES_32[machine]
  return (content[5] === 1 ? MACHINES_64 : MACHINES_64_BIG)[machine]
}

/**
 * Architecture of an image: of the programs every system has, else of most programs there are, else
 * of this machine.
 *
 * @param archs of the image's programs, by the number of their first chunk
 */
export function detectArch(tree: Tree, archs: ReadonlyMap<number, string>): string {
  for (const program of PROGRAMS) {
    const inode = resolvePath(tree, program)
    const [first] = inode === undefined ? [] : tree.extents(inode)
    const arch = first?.position === 0 ? archs.get(first.chunk) : undefined
    if (arch !== undefined) return arch
  }
  const counts = new Map<string, number>()
  for (const arch of archs.values()) counts.set(arch, (counts.get(arch) ?? 0) + 1)
  const [most] = [...counts].toSorted((a, b) => b[1] - a[1])
  return most?.[0] ?? HOST_ARCH[process.arch] ?? process.arch
}

/** `boot` where there is an init, else a shell. */
export function detectStart(tree: Tree): StartCommand {
  const hasInit = INITS.some((path) => {
    const inode = resolvePath(tree, path)
    return inode !== undefined && tree.type(inode) === 'file'
  })
  return hasInit ? { mode: 'boot' } : { mode: 'process', argv: ['/bin/sh'] }
}
