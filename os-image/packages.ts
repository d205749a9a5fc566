import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { ContainerError, systemErrorCode } from '../src/core/errors.ts'
import { Apt } from './apt.ts'
import { formatLock, type Arch, type BuildPackage, type LockedPackage } from './package-lock.ts'
import { CACHE } from './paths.ts'

const DEBS = join(CACHE, 'debs')

/** The package that carries the kernel's source; it is no part of the initrd. */
export const KERNEL_PACKAGE = 'linux-source-6.12'
/** The package with systemd's stub for EFI; it is no part of the initrd either. */
export const STUB_PACKAGE = 'systemd-boot-efi'
/** Python programs without native parts: what puts stub, kernel and initrd together. */
export const UKIFY_PACKAGES: readonly string[] = ['systemd-ukify', 'python3-pefile']
/** Packages with headers, and Node's settings for node-gyp: for native parts that have to be built. */
export const HEADERS_PACKAGES: readonly string[] = ['libnode-dev', 'libuv1-dev']
/** Packages that a build reads and that the initrd does not have. */
export function buildPackages(arch: Arch): string[] {
  // For amd64 npm packages carry their native parts, or npm has built them.
  const headers = arch === 'amd64' ? [] : HEADERS_PACKAGES
  return [KERNEL_PACKAGE, STUB_PACKAGE, ...UKIFY_PACKAGES, ...headers]
}

/** Names of packages, one a line; `#` begins a comment. */
export function parseNames(text: string): string[] {
  return text
    .split('\n')
    .map((line) => line.replace(/#.*/, '').trim())
    .filter((name) => name !== '')
}

/**
 * The text of a lock with the newest version of each package.
 *
 * @throws ContainerError `NOT_FOUND`, `IO`
 */
export async function refreshedLock(names: readonly string[], arch: Arch): Promise<string> {
  const apt = await Apt.open(aptFolder(arch), arch)
  await apt.update()
  return formatLock(await apt.newest([...names, ...buildPackages(arch)], arch))
}

/**
 * The packages to build of: the locked ones. Where one is neither here nor in the archive, which keeps no old
 * versions, the newest that the release has takes its place, and says which version was locked.
 *
 * @throws ContainerError `NOT_FOUND` for a package that the release has in no version, `IO`
 */
export async function buildablePackages(
  packages: readonly LockedPackage[]
): Promise<BuildPackage[]> {
  const [first] = packages
  const absent: LockedPackage[] = []
  for (const each of packages) {
    if ((await digestOf(pathOf(each))) !== each.sha256) absent.push(each)
  }
  if (first === undefined || absent.length === 0) return [...packages]
  const apt = await Apt.open(aptFolder(first.arch), first.arch)
  await apt.update()
  const gone = await apt.missing(absent)
  if (gone.length === 0) return [...packages]
  const newest = await apt.newest(
    gone.map(({ name }) => name),
    first.arch
  )
  return packages.map((each) => {
    const instead = gone.includes(each) && newest.find(({ name }) => name === each.name)
    return instead ? { ...instead, locked: each.version } : each
  })
}

/** One line that tells of packages that are not of the lock; undefined where all are. */
export function describeReplaced(packages: readonly BuildPackage[]): string | undefined {
  const replaced = packages.flatMap(({ name, version, locked }) =>
    locked === undefined ? [] : [`${name} ${version} (locked: ${locked})`]
  )
  if (replaced.length === 0) return undefined
  return `not of the committed lock, as the archive no longer has what that names: ${replaced.join(', ')}`
}

/**
 * Files of packages, fetched where they are not there yet.
 *
 * @returns paths of .deb files, in the order of `packages`
 * @throws ContainerError `IO`, `BAD_SOURCE` for a file that has another digest
 */
export async function fetchPackages(packages: readonly LockedPackage[]): Promise<string[]> {
  await mkdir(DEBS, { recursive: true })
  let apt: Apt | undefined
  const paths: string[] = []
  for (const wanted of packages) {
    const path = pathOf(wanted)
    paths.push(path)
    if ((await digestOf(path)) === wanted.sha256) continue
    if (apt === undefined) {
      apt = await Apt.open(aptFolder(wanted.arch), wanted.arch)
      await apt.update()
    }
    await fetchPackage(apt, wanted, path)
  }
  return paths
}

function pathOf({ name, sha256 }: LockedPackage): string {
  return join(DEBS, `${name}_${sha256.slice(0, 16)}.deb`)
}

/** One for each architecture: apt keeps lists of one alone. */
function aptFolder(arch: Arch): string {
  return join(CACHE, `apt-${arch}`)
}

async function fetchPackage(apt: Apt, wanted: LockedPackage, path: string): Promise<void> {
  const temporary = await mkdtemp(join(CACHE, 'download-'))
  try {
    try {
      await apt.download(wanted, temporary)
    } catch (cause) {
      throw new ContainerError('IO', `cannot fetch ${wanted.name} ${wanted.version}`, {
        cause
      })
    }
    const [file] = await readdir(temporary)
    const fetched = join(temporary, file ?? '')
    const digest = await digestOf(fetched)
    if (digest !== wanted.sha256) {
      throw new ContainerError(
        'BAD_SOURCE',
        `${wanted.name} has digest ${digest}, not ${wanted.sha256}`
      )
    }
    await rename(fetched, path)
  } finally {
    await rm(temporary, { recursive: true, force: true })
  }
}

async function digestOf(path: string): Promise<string | undefined> {
  try {
    return createHash('sha256')
      .update(await readFile(path))
      .digest('hex')
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined
    throw error
  }
}
