import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { ContainerError, systemErrorCode } from '../src/core/errors.ts'
import { run } from './command.ts'
import { CACHE, ROOT } from './paths.ts'
import type { Target } from './target.ts'

/** What `package-lock.json` says of a package (npm's documentation, "package-lock.json"). */
interface LockedNodePackage {
  readonly version: string
  /** `sha512-BASE64` of its archive. */
  readonly integrity?: string
  readonly cpu?: readonly string[]
  readonly os?: readonly string[]
}

/**
 * Fetches a package that npm installs on machines of the target's processor alone, as
 * `package-lock.json` binds it.
 *
 * @returns its folder; undefined where the lock has no such package for the target
 * @throws ContainerError `IO`, `BAD_SOURCE` for an archive that is not the locked one
 */
export async function fetchNodePackage(name: string, target: Target): Promise<string | undefined> {
  const lock = JSON.parse(await readFile(join(ROOT, 'package-lock.json'), 'utf8')) as {
    packages: Readonly<Record<string, LockedNodePackage>>
  }
  const locked = lock.packages[`node_modules/${name}`]
  if (locked?.cpu?.includes(target.nodeArch) !== true || locked.os?.includes('linux') !== true) {
    return undefined
  }
  const [algorithm = '', digest = ''] = locked.integrity?.split('-', 2) ?? []
  const key = createHash('sha256').update(`${name} ${locked.version} ${digest}`).digest('hex')
  const folder = join(CACHE, 'node-packages', key.slice(0, 32))
  if (await isThere(folder)) return folder
  await mkdir(join(CACHE, 'node-packages'), { recursive: true })
  const partial = await mkdtemp(join(CACHE, 'node-package-'))
  try {
    const id = `${name}@${locked.version}`
    await run('npm', ['pack', '--silent', '--ignore-scripts', '--pack-destination', partial, id], {
      cwd: ROOT
    })
    const [archive = ''] = await readdir(partial)
    const path = join(partial, archive)
    const found = createHash(algorithm || 'sha512')
      .update(await readFile(path))
      .digest('base64')
    if (found !== digest) {
      throw new ContainerError('BAD_SOURCE', `${id} is not what package-lock.json says`)
    }
    await run('tar', ['-xzf', path, '--no-same-owner', '-C', partial])
    await rename(join(partial, 'package'), folder)
  } finally {
    await rm(partial, { recursive: true, force: true })
  }
  return folder
}

async function isThere(folder: string): Promise<boolean> {
  try {
    return (await readdir(folder)).length > 0
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return false
    throw error
  }
}
