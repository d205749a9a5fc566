import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { ContainerError, systemErrorCode } from '../src/image/errors.ts'
import { run } from './command.ts'
import { CACHE, SOURCE } from './paths.ts'
import type { LockedPackage } from './package-lock.ts'

export interface KernelOptions {
  readonly source: LockedPackage
  /** The .deb of `source`. */
  readonly deb: string
  /** Seconds since 1970 that the kernel says it was built at. */
  readonly epoch: number
  readonly note: (text: string) => void
}

/** Least important: a build takes all processors for a quarter of an hour. */
const NICE = ['-n', '19']

/**
 * The kernel, as a bzImage: from the cache when the same source, configuration and compiler made it
 * before, else built.
 *
 * @returns path of the file
 * @throws ContainerError `BAD_SOURCE` for settings that this source does not know, `IO`,
 *   `MISSING_TOOL`
 */
export async function kernelImage(options: KernelOptions): Promise<string> {
  const { source, epoch, note } = options
  const config = join(SOURCE, 'kernel.config')
  const fragment = await readFile(config, 'utf8')
  const compiler = (await run('gcc', ['--version'])).toString().split('\n')[0]
  const linker = (await run('ld', ['--version'])).toString().split('\n')[0]
  const key = createHash('sha256')
    .update(JSON.stringify([source.sha256, fragment, compiler, linker, epoch]))
    .digest('hex')
  const image = join(CACHE, 'kernels', `vmlinuz-${key.slice(0, 32)}`)
  if (await exists(image)) return image
  await mkdir(join(CACHE, 'kernels'), { recursive: true })
  note(`building Linux ${source.version}; about a quarter of an hour on two processors`)
  const folder = await mkdtemp(join(CACHE, 'kernel-'))
  try {
    const tree = await unpackSource(options.deb, folder)
    const output = join(folder, 'output')
    await mkdir(output)
    const make = async (...targets: string[]): Promise<Buffer> =>
      run(
        'nice',
        [...NICE, 'make', '-s', `-j${availableParallelism()}`, `O=${output}`, ...targets],
        {
          cwd: tree,
          env: buildEnvironment(config, epoch)
        }
      )
    await make('allnoconfig')
    checkConfig(fragment, await readFile(join(output, '.config'), 'utf8'))
    await make('bzImage')
    await rename(join(output, 'arch/x86/boot/bzImage'), image)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
  return image
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
