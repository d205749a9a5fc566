import { ContainerError } from '../src/core/errors.ts'

/** A Debian package of one version, bound to its bytes. */
export interface LockedPackage {
  readonly arch: Arch
  readonly name: string
  readonly version: string
  /** SHA-256 of the .deb file, hexadecimal. */
  readonly sha256: string
}

/** A package that an image is built of. */
export interface BuildPackage extends LockedPackage {
  /** The version that the lock names, where the archive has that no longer. */
  readonly locked?: string
}

/** Debian's names of architectures an image can be built for. */
export const ARCHES = ['amd64', 'arm64'] as const
export type Arch = (typeof ARCHES)[number]

const LINE =
  /^(?<arch>amd64|arm64) (?<name>[a-z0-9][a-z0-9.+-]+) (?<version>[A-Za-z0-9.+:~-]+) (?<sha256>[0-9a-f]{64})$/

/**
 * Reads a lock file: a line a package, `ARCH NAME VERSION SHA256`; `#` begins a comment.
 *
 * @throws ContainerError `USAGE` for a line that is none, or a package that stands there twice
 */
export function parseLock(text: string): LockedPackage[] {
  const packages: LockedPackage[] = []
  const seen = new Set<string>()
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#')) continue
    const fields = LINE.exec(line)?.groups
    if (fields === undefined) throw badLock(`not a line of a lock: ${JSON.stringify(line)}`)
    const { arch, name, version, sha256 } = fields as Record<keyof LockedPackage, string>
    if (seen.has(`${arch} ${name}`)) throw badLock(`${name} is locked twice for ${arch}`)
    seen.add(`${arch} ${name}`)
    packages.push({ arch: arch as Arch, name, version, sha256 })
  }
  return packages
}

/** The text of a lock file, sorted by architecture and name. */
export function formatLock(packages: readonly LockedPackage[]): string {
  const lines = packages.map((each) => `${each.arch} ${each.name} ${each.version} ${each.sha256}`)
  const head = '# arch name version sha256, written by `npm run os-image -- lock`'
  return `${[head, ...lines.sort()].join('\n')}\n`
}

/**
 * The package of a lock.
 *
 * @throws ContainerError `NOT_FOUND`
 */
export function lockedPackage<P extends LockedPackage>(packages: readonly P[], name: string): P {
  const found = packages.find((each) => each.name === name)
  if (found) return found
  throw new ContainerError('NOT_FOUND', `${name} is not locked`, {
    hint: 'refresh the lock: npm run os-image -- lock'
  })
}

function badLock(message: string): ContainerError {
  return new ContainerError('USAGE', message, {
    hint: 'refresh the lock: npm run os-image -- lock'
  })
}
