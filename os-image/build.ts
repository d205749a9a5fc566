import { createHash } from 'node:crypto'
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { writeFileAtomically } from '../src/core/atomic-file.ts'
import {
  NETBOOT_CHECK,
  NETBOOT_SCRIPT,
  staticNetbootScript
} from '../src/machine/netboot/netboot-script.ts'
import { lockCache } from './cache-lock.ts'
import { compressXz, type Effort } from './compress.ts'
import { cpioArchive } from './cpio.ts'
import { imageTree } from './image-tree.ts'
import { inputsDigest, INPUTS_FILE } from './inputs.ts'
import { kernelImage, type Kernel } from './kernel.ts'
import { licences } from './licences.ts'
import { formatManifest, type ManifestFile } from './manifest.ts'
import { netbootTree } from './netboot-tree.ts'
import { lockedPackage, parseLock, type Arch, type BuildPackage } from './package-lock.ts'
import {
  buildablePackages,
  buildPackages,
  describeReplaced,
  fetchPackages,
  HEADERS_PACKAGES,
  KERNEL_PACKAGE,
  STUB_PACKAGE,
  UKIFY_PACKAGES
} from './packages.ts'
import { lockFile, outputFolder, SOURCE } from './paths.ts'
import { largestParts } from './report.ts'
import { loadSecretKey, signManifest } from './sign.ts'
import { TARGETS } from './target.ts'
import { toolVersion } from './tool.ts'
import { unifiedKernel } from './unified-kernel.ts'

export interface BuildOptions {
  readonly arch: Arch
  /** Seconds since 1970 that all files and the kernel bear. */
  readonly epoch: number
  /** Seconds since 1970 that the manifest says it was released at. */
  readonly released: number
  /** A minisign secret key, to sign the manifest with. */
  readonly secretKeyFile: string | undefined
  /** `least` makes an image for tests: the same files, compressed less. No report tells the difference. */
  readonly effort: Effort
  readonly note: (text: string) => void
}

/**
 * Builds kernel, initrd, manifest and licences into `os-image/dist`, or `os-image/dist-ARCH`. The folder is replaced when all of
 * them are there. Equal inputs give equal bytes.
 *
 * @returns lines that tell what was built
 * @throws ContainerError `MISSING_TOOL`, `BAD_SOURCE`, `NOT_FOUND`, `IO`
 */
export async function buildImage(options: BuildOptions): Promise<string[]> {
  const { arch, epoch, released, effort, note } = options
  const secretKey =
    options.secretKeyFile === undefined ? undefined : await loadSecretKey(options.secretKeyFile)
  const target = TARGETS[arch]
  const locked = parseLock(await readFile(lockFile(arch), 'utf8')).filter(
    (each) => each.arch === arch
  )
  const inputs = await inputsDigest({ arch, epoch, effort })
  const lock = await lockCache(note)
  let packages: BuildPackage[]
  let kernel: Kernel
  let debs: string[]
  let efiDebs: string[]
  let headerDebs: string[]
  try {
    note('fetching packages')
    packages = await buildablePackages(locked)
    const replaced = describeReplaced(packages)
    if (replaced !== undefined) note(replaced)
    const kernelSource = lockedPackage(packages, KERNEL_PACKAGE)
    const forEfi = [STUB_PACKAGE, ...UKIFY_PACKAGES].map((name) => lockedPackage(packages, name))
    const headers = packages.filter(({ name }) => HEADERS_PACKAGES.includes(name))
    const ours = buildPackages(arch)
    const userland = packages.filter(({ name }) => !ours.includes(name))
    const [kernelDeb = '', ...others] = await fetchPackages([kernelSource, ...userland])
    debs = others
    efiDebs = await fetchPackages(forEfi)
    headerDebs = await fetchPackages(headers)
    kernel = await kernelImage({ target, source: kernelSource, deb: kernelDeb, epoch, note })
  } finally {
    await lock[Symbol.asyncDispose]()
  }
  note('laying out the initrd')
  const { tree, nodePackages, copyrights } = await imageTree(target, debs, headerDebs)
  const archive = cpioArchive(tree, epoch)
  note(`compressing ${(archive.length / 1e6).toFixed(1)} MB`)
  const initrd = await compressXz(archive, effort, target.xzFilter)

  note('putting the EFI image together')
  const efi = await unifiedKernel({
    target,
    debs: efiDebs,
    kernel: kernel.efi,
    initrd,
    osRelease: tree.content('usr/lib/os-release')
  })

  const files: Record<string, Buffer> = {
    vmlinuz: await readFile(kernel.image),
    initrd,
    [NETBOOT_CHECK]: await compressXz(cpioArchive(await netbootTree(tree, target), epoch), effort),
    [NETBOOT_SCRIPT]: Buffer.from(staticNetbootScript(target.nodeArch, sha256(initrd))),
    'hyperos.efi': efi,
    'licences.txt.xz': await compressXz(
      Buffer.from(await licences(copyrights, nodePackages)),
      effort
    )
  }
  const listed: ManifestFile[] = Object.entries(files).map(([name, content]) => ({
    name,
    bytes: content.length,
    sha256: sha256(content)
  }))
  const manifest = formatManifest({
    ...{ arch, version: await toolVersion(), epoch, released },
    ...{ files: listed, packages, nodePackages }
  })
  await writeOutput(outputFolder(arch), {
    ...files,
    'manifest.json': Buffer.from(manifest),
    [INPUTS_FILE]: Buffer.from(`${inputs}\n`),
    ...(secretKey === undefined
      ? {}
      : { 'manifest.json.minisig': Buffer.from(signManifest(secretKey, manifest, epoch)) })
  })
  const table = largestParts(tree, listed, archive.length)
  if (effort === 'most') await writeReport(arch, table)
  return table
}

function sha256(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex')
}

/** The folder is another one than before, or none, at any time. */
async function writeOutput(output: string, files: Readonly<Record<string, Buffer>>): Promise<void> {
  const partial = `${output}.partial`
  await rm(partial, { recursive: true, force: true })
  await mkdir(partial)
  for (const [name, content] of Object.entries(files)) await writeFile(join(partial, name), content)
  await rm(output, { recursive: true, force: true })
  await rename(partial, output)
}

/** Puts the table of sizes into the README. */
async function writeReport(arch: Arch, table: readonly string[]): Promise<void> {
  const first = `<!-- sizes of ${arch}: written by the build -->`
  const last = `<!-- end of sizes of ${arch} -->`
  const path = join(SOURCE, 'README.md')
  const text = await readFile(path, 'utf8')
  const start = text.indexOf(first)
  const end = text.indexOf(last)
  if (start < 0 || end < start) return
  const written = [text.slice(0, start) + first, '', ...table, '', text.slice(end)].join('\n')
  if (written !== text) await writeFileAtomically(path, written, 0o644)
}
