import { createHash } from 'node:crypto'
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { writeFileAtomically } from '../src/image/atomic-file.ts'
import { lockCache } from './cache-lock.ts'
import { compressXz } from './compress.ts'
import { cpioArchive } from './cpio.ts'
import { imageTree } from './image-tree.ts'
import { inputsDigest, INPUTS_FILE } from './inputs.ts'
import { kernelImage } from './kernel.ts'
import { licences } from './licences.ts'
import { formatManifest, type ManifestFile } from './manifest.ts'
import { lockedPackage, parseLock, type Arch } from './package-lock.ts'
import { fetchPackages, KERNEL_PACKAGE } from './packages.ts'
import { OUTPUT, SOURCE } from './paths.ts'
import { largestParts } from './report.ts'
import { loadSecretKey, signManifest } from './sign.ts'

export interface BuildOptions {
  readonly arch: Arch
  /** Seconds since 1970 that all files and the kernel bear. */
  readonly epoch: number
  /** A minisign secret key, to sign the manifest with. */
  readonly secretKeyFile: string | undefined
  readonly note: (text: string) => void
}

/**
 * Builds kernel, initrd, manifest and licences into `os-image/dist`. The folder is replaced when all of
 * them are there. Equal inputs give equal bytes.
 *
 * @returns lines that tell what was built
 * @throws ContainerError `MISSING_TOOL`, `BAD_SOURCE`, `NOT_FOUND`, `IO`
 */
export async function buildImage(options: BuildOptions): Promise<string[]> {
  const { arch, epoch, note } = options
  const secretKey =
    options.secretKeyFile === undefined ? undefined : await loadSecretKey(options.secretKeyFile)
  const locked = parseLock(await readFile(join(SOURCE, 'packages.lock'), 'utf8'))
  const packages = locked.filter((each) => each.arch === arch)
  const kernelSource = lockedPackage(packages, KERNEL_PACKAGE)
  const userland = packages.filter((each) => each !== kernelSource)

  const inputs = await inputsDigest(epoch)
  const lock = await lockCache(note)
  let kernel: string
  let debs: string[]
  try {
    note('fetching packages')
    const [kernelDeb = '', ...others] = await fetchPackages([kernelSource, ...userland])
    debs = others
    kernel = await kernelImage({ source: kernelSource, deb: kernelDeb, epoch, note })
  } finally {
    await lock[Symbol.asyncDispose]()
  }
  note('laying out the initrd')
  const { tree, nodePackages, copyrights } = await imageTree(debs)
  const archive = cpioArchive(tree, epoch)
  note(`compressing ${(archive.length / 1e6).toFixed(1)} MB`)
  const initrd = await compressXz(archive)

  const files: Record<string, Buffer> = {
    vmlinuz: await readFile(kernel),
    initrd,
    'licences.txt.xz': await compressXz(Buffer.from(await licences(copyrights, nodePackages)))
  }
  const listed: ManifestFile[] = Object.entries(files).map(([name, content]) => ({
    name,
    bytes: content.length,
    sha256: createHash('sha256').update(content).digest('hex')
  }))
  const manifest = formatManifest({ arch, epoch, files: listed, packages, nodePackages })
  await writeOutput({
    ...files,
    'manifest.json': Buffer.from(manifest),
    [INPUTS_FILE]: Buffer.from(`${inputs}\n`),
    ...(secretKey === undefined
      ? {}
      : { 'manifest.json.minisig': Buffer.from(signManifest(secretKey, manifest, epoch)) })
  })
  const table = largestParts(tree, listed, archive.length)
  await writeReport(table)
  return table
}

/** The folder is another one than before, or none, at any time. */
async function writeOutput(files: Readonly<Record<string, Buffer>>): Promise<void> {
  const partial = `${OUTPUT}.partial`
  await rm(partial, { recursive: true, force: true })
  await mkdir(partial)
  for (const [name, content] of Object.entries(files)) await writeFile(join(partial, name), content)
  await rm(OUTPUT, { recursive: true, force: true })
  await rename(partial, OUTPUT)
}

const REPORT_START = '<!-- sizes: written by the build -->'
const REPORT_END = '<!-- end of sizes -->'

/** Puts the table of sizes into the README. */
async function writeReport(table: readonly string[]): Promise<void> {
  const path = join(SOURCE, 'README.md')
  const text = await readFile(path, 'utf8')
  const start = text.indexOf(REPORT_START)
  const end = text.indexOf(REPORT_END)
  if (start < 0 || end < start) return
  const written = [text.slice(0, start) + REPORT_START, '', ...table, '', text.slice(end)].join(
    '\n'
  )
  if (written !== text) await writeFileAtomically(path, written, 0o644)
}
