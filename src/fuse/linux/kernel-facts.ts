import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { release } from 'node:os'
import { promisify } from 'node:util'

/** What the running kernel can do for a mount. */
export interface KernelFacts {
  /** Filesystem EROFS, loaded or loadable. */
  readonly erofs: boolean
  readonly major: number
  readonly minor: number
}

/** Looks, and loads the `erofs` module where the kernel has it as one. Needs root for that only. */
export async function readKernelFacts(): Promise<KernelFacts> {
  let erofs = await hasFilesystem('erofs')
  if (!erofs) {
    // No modprobe, no module, no right to load it: all the same as no EROFS.
    await promisify(execFile)('modprobe', ['-q', 'erofs']).catch(() => undefined)
    erofs = await hasFilesystem('erofs')
  }
  return { erofs, ...parseKernelRelease(release()) }
}

/** `6.12.3-generic` to its first two numbers; zeros for what does not look like a release. */
export function parseKernelRelease(text: string): { major: number; minor: number } {
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(text) ?? []
  return { major: Number(major ?? 0), minor: Number(minor ?? 0) }
}

async function hasFilesystem(name: string): Promise<boolean> {
  const text = await readFile('/proc/filesystems', 'utf8')
  return text.split('\n').some((line) => line.split('\t')[1] === name)
}
