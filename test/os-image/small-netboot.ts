import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { formatManifest } from '../../os-image/manifest.ts'
import {
  NETBOOT_CHECK,
  NETBOOT_SCRIPT,
  staticNetbootScript
} from '../../src/machine/netboot/netboot-script.ts'
import { IMAGE } from './guest.ts'

/** What the machine says once the first stage has started the initrd of {@link writeSmallNetboot}. */
export const SMALL_INITRD_RUNS = 'netboot: refused: no initrd came along'

/**
 * Writes an image for a netboot with the kernel and the first stage of the one that is built. Its initrd is
 * that first stage once more: emulated firmware takes long to fetch the real one, and this one tells
 * that it was started as well.
 */
export function writeSmallNetboot(directory: string): void {
  mkdirSync(directory)
  const stage = readFileSync(join(IMAGE, NETBOOT_CHECK))
  const files = {
    vmlinuz: readFileSync(join(IMAGE, 'vmlinuz')),
    initrd: stage,
    [NETBOOT_CHECK]: stage,
    [NETBOOT_SCRIPT]: Buffer.from(staticNetbootScript('x64', sha256(stage)))
  }
  const listed = Object.entries(files).map(([name, content]) => {
    writeFileSync(join(directory, name), content)
    return { name, bytes: content.length, sha256: sha256(content) }
  })
  const facts = { version: '1.0.0', epoch: 1, released: 1, packages: [], nodePackages: [] }
  const manifest = formatManifest({ arch: 'amd64', ...facts, files: listed })
  writeFileSync(join(directory, 'manifest.json'), manifest)
}

function sha256(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex')
}
