import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { basename, join } from 'node:path'
import { ContainerError, systemErrorCode } from '../src/core/errors.ts'
import { run } from './command.ts'
import { CACHE, SOURCE } from './paths.ts'
import { ARCHES, type Arch, type LockedPackage } from './package-lock.ts'
import { toolPrefix, type Target } from './target.ts'

export interface KernelOptions {
  readonly target: Target
  readonly source: LockedPackage
  /** The .deb of `source`. */
  readonly deb: string
  /** Seconds since 1970 that the kernel says it was built at. */
  readonly epoch: number
  readonly note: (text: string) => void
}

/** Least important: a build takes all processors for a quarter of an hour. */
const NICE = ['-n', '19']

/** Paths of one kernel's files; they may be the same. */
export interface Kernel {
  /** What QEMU's `-kernel` takes. */
  readonly image: string
  /** A program of EFI. */
  readonly efi: string
}

/**
 * The kernel: from the cache when the same source, configuration and compiler made it before, else
 * built, by a cross compiler where the target is not this machine's architecture.
 *
 * @throws ContainerError `BAD_SOURCE` for settings that this source does not know, `IO`,
 *   `MISSING_TOOL`
 */
export async function kernelImage(options: KernelOptions): Promise<Kernel> {
  const { target, source, epoch, note } = options
  const prefix = toolPrefix(target)
  const fragment = configFor(target.arch, await readFile(join(SOURCE, 'kernel.config'), 'utf8'))
  const compiler = await versionOf(`${prefix}gcc`)
  const linker = await versionOf(`${prefix}ld`)
  const key = createHash('sha256')
    .update(JSON.stringify([source.sha256, fragment, compiler, linker, epoch]))
    .digest('hex')
  const image = join(CACHE, 'kernels', `vmlinuz-${key.slice(0, 32)}`)
  const efi = target.kernelEfi === target.kernelImage ? image : `${image}.efi`
  if (await exists(image)) return { image, efi }
  await mkdir(join(CACHE, 'kernels'), { recursive: true })
  note(`building Linux ${source.version}; about a quarter of an hour on two processors`)
  const folder = await mkdtemp(join(CACHE, 'kernel-'))
  try {
    const tree = await unpackSource(options.deb, folder)
    const output = join(folder, 'output')
    await mkdir(output)
    const config = join(folder, 'kernel.config')
    await writeFile(config, fragment)
    const platform = [`ARCH=${target.kernelArch}`, `CROSS_COMPILE=${prefix}`]
    const make = async (...targets: string[]): Promise<Buffer> =>
      run(
        'nice',
        [
          ...[...NICE, 'make', '-s', `-j${availableParallelism()}`],
          ...[`O=${output}`, ...platform, ...targets]
        ],
        {
          cwd: tree,
          env: buildEnvironment(config, epoch)
        }
      )
    await make('allnoconfig')
    checkConfig(fragment, await readFile(join(output, '.config'), 'utf8'))
    const made = [...new Set([target.kernelEfi, target.kernelImage])]
    await make(...made.map((path) => basename(path)))
    // The one that says that both are there comes last.
    if (efi !== image) await rename(join(output, target.kernelEfi), efi)
    await rename(join(output, target.kernelImage), image)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
  return { image, efi }
}

/**
 * The settings of an architecture: a line that begins with an architecture's name and a colon is for
 * that one alone.
 */
export function configFor(arch: Arch, text: string): string {
  const own = `${arch}: `
  const others = ARCHES.filter((each) => each !== arch).map((each) => `${each}: `)
  return text
    .split('\n')
    .filter((line) => !others.some((prefix) => line.startsWith(prefix)))
    .map((line) => (line.startsWith(own) ? line.slice(own.length) : line))
    .join('\n')
}

async function versionOf(tool: string): Promise<string | undefined> {
  return (await run(tool, ['--version'])).toString().split('\n')[0]
}

/**
 * Refuses a configuration in which something that was asked for is not so: a setting whose
 * dependencies are off, or whose name changed, is dropped by the kernel's build without a word.
 *
 * @throws ContainerError `BAD_SOURCE`
 */
export function checkConfig(fragment: string, config: string): void {
  const made = new Map(settingsOf(config))
  const lost = settingsOf(fragment)
    .filter(([name, value]) => (made.get(name) ?? 'n') !== value)
    .map(([name, value]) => `${name}=${value}`)
  if (lost.length === 0) return
  throw new ContainerError('BAD_SOURCE', `the kernel cannot have ${lost.join(', ')}`, {
    hint: 'their dependencies are off in os-image/kernel.config, or their names changed'
  })
}

function settingsOf(text: string): [name: string, value: string][] {
  return [...text.matchAll(/^(CONFIG_\w+)=(.*)$/gm)].map(([, name, value]) => [name!, value!])
}

function buildEnvironment(config: string, epoch: number): Record<string, string> {
  return {
    KCONFIG_ALLCONFIG: config,
    KBUILD_BUILD_TIMESTAMP: new Date(epoch * 1000).toUTCString(),
    KBUILD_BUILD_USER: 'hyperos',
    KBUILD_BUILD_HOST: 'hyperos',
    KBUILD_BUILD_VERSION: '1'
  }
}

/** Unpacks the archive of sources that the package carries. @returns the source's folder */
async function unpackSource(deb: string, folder: string): Promise<string> {
  await run('dpkg-deb', ['-x', deb, join(folder, 'package')])
  const name = 'linux-source-6.12'
  await run('tar', ['-xJf', join(folder, 'package/usr/src', `${name}.tar.xz`), '-C', folder])
  await rm(join(folder, 'package'), { recursive: true })
  return join(folder, name)
}

async function exists(path: string): Promise<boolean> {
  try {
    await readFile(path)
    return true
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return false
    throw error
  }
}
