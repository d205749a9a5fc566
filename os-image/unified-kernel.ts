import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { serialConsole } from '../src/machine/state/machine-types.ts'
import { run } from './command.ts'
import type { Target } from './target.ts'

export interface UnifiedKernelParts {
  readonly target: Target
  /** Packages with systemd's stub, with ukify, and with what ukify imports. */
  readonly debs: readonly string[]
  /** Path of a kernel that is a program of EFI. */
  readonly kernel: string
  readonly initrd: Buffer
  /** The text of the image's `os-release`. */
  readonly osRelease: Buffer
}

/**
 * A unified kernel image: one program of EFI with kernel, initrd and a command line that says where the
 * console is (https://uapi-group.org/specifications/specs/unified_kernel_image). systemd's ukify makes
 * it: objcopy would write the time of day into it.
 *
 * @throws ContainerError `IO`, `MISSING_TOOL`
 */
export async function unifiedKernel(parts: UnifiedKernelParts): Promise<Buffer> {
  const { efiName, nodeArch } = parts.target
  const folder = await mkdtemp(join(tmpdir(), 'efi-'))
  try {
    for (const deb of parts.debs) await run('dpkg-deb', ['-x', deb, folder])
    const initrd = join(folder, 'initrd')
    await writeFile(initrd, parts.initrd)
    const osRelease = join(folder, 'os-release')
    await writeFile(osRelease, parts.osRelease)
    const output = join(folder, 'output')
    await run(
      'python3',
      [
        ...[join(folder, 'usr/bin/ukify'), 'build', '--output', output, '--efi-arch', efiName],
        ...['--stub', join(folder, `usr/lib/systemd/boot/efi/linux${efiName}.efi.stub`)],
        ...['--linux', parts.kernel, '--initrd', initrd],
        ...['--os-release', `@${osRelease}`, '--cmdline', `console=${serialConsole(nodeArch)}`]
      ],
      { env: { PYTHONPATH: join(folder, 'usr/lib/python3/dist-packages') } }
    )
    return await readFile(output)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
