import { createHash } from 'node:crypto'
import { lstat, readdir, readFile, readlink } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { systemErrorCode } from '../src/core/errors.ts'
import type { Effort } from './compress.ts'
import { ARCHES, type Arch } from './package-lock.ts'
import { outputFolder, ROOT, SOURCE } from './paths.ts'

/** Stands beside an image: the digest of what it was made of. */
export const INPUTS_FILE = 'inputs.sha256'

/** Sources of the builder itself: what runs is their built form, in `build/os-image`. */
const NO_INPUT = /\.(ts|md)$/
const BUILT = /\.js$/

/** An image that is, or may be, made here. */
export interface Made {
  readonly arch: Arch
  /** Seconds since 1970 that all files bear. */
  readonly epoch: number
  readonly effort: Effort
}

/**
 * SHA-256 over everything that an image is made of in this checkout: lists, locks, files of `rootfs/`,
 * the kernel's configuration, the builder, the tool and the lock of its npm packages. Compilers are not
 * among it.
 *
 * @returns hexadecimal
 */
export async function inputsDigest({ arch, epoch, effort }: Made): Promise<string> {
  const hash = createHash('sha256').update(`${arch} ${epoch} ${effort}\n`)
  const folders = [SOURCE, join(ROOT, 'build/os-image'), join(ROOT, 'dist')]
  const paths = [join(ROOT, 'package-lock.json')]
  for (const folder of folders) paths.push(...(await filesIn(folder)))
  for (const path of paths.sort()) {
    const name = relative(ROOT, path)
    if (NO_INPUT.test(name) || (name.startsWith('build/') && !BUILT.test(name))) continue
    const stat = await lstat(path)
    const isLink = stat.isSymbolicLink()
    const content = isLink ? Buffer.from(await readlink(path)) : await readFile(path)
    const mode = isLink ? 'link' : stat.mode & 0o100 ? 'program' : 'file'
    hash.update(`${JSON.stringify([name, mode, content.length])}\n`).update(content)
  }
  return hash.digest('hex')
}

/** Whether the image of an architecture was made of what is in this checkout now, with that effort or more. */
export async function isBuilt(wanted: Made): Promise<boolean> {
  try {
    const made = (await readFile(join(outputFolder(wanted.arch), INPUTS_FILE), 'utf8')).trim()
    const isWanted = made === (await inputsDigest(wanted))
    return isWanted || made === (await inputsDigest({ ...wanted, effort: 'most' }))
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return false
    throw error
  }
}

/** What is built is nothing that it is built of. */
const outputs: ReadonlySet<string> = new Set(
  ARCHES.map(outputFolder).flatMap((path) => [path, `${path}.partial`])
)

async function filesIn(folder: string): Promise<string[]> {
  const found: string[] = []
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (outputs.has(path)) continue
    if (entry.isDirectory()) found.push(...(await filesIn(path)))
    else found.push(path)
  }
  return found
}
