import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { ContainerError, systemErrorCode } from '../src/image/errors.ts'
import { Apt } from './apt.ts'
import { formatLock, type Arch, type LockedPackage } from './package-lock.ts'
import { CACHE } from './paths.ts'

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
 * Files of locked packages, fetched where they are not there yet.
 *
 * @returns paths of .deb files, in the order of `packages`
 * @throws ContainerError `IO`, `BAD_SOURCE` for a file that is not the locked one
 */
export async function fetchPackages(packages: readonly LockedPackage[]): Promise<string[]> {
  const folder = join(CACHE, 'debs')
  await mkdir(folder, { recursive: true })
  let apt: Apt | undefined
  const paths: string[] = []
  for (const wanted of packages) {
    const path = join(folder, `${wanted.name}_${wanted.sha256.slice(0, 16)}.deb`)
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
        hint: 'where the archive has a newer one only: npm run os-image -- lock',
        cause
      })
    }
    const [file] = await readdir(temporary)
    const fetched = join(temporary, file ?? '')
    const digest = await digestOf(fetched)
    if (digest !== wanted.sha256) {
      throw new ContainerError('BAD_SOURCE', `${wanted.name} has digest ${digest}, not the lock's`)
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
