/** The parts of package-lock.json that say what depends on what (npm's documentation, "package-lock.json"). */
export interface NodeLock {
  /** By folder, as `node_modules/a/node_modules/b`; the project itself by ''. */
  readonly packages: Readonly<Record<string, LockEntry>>
}

interface LockEntry {
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

const WITHIN = '/node_modules/'

/**
 * A lock without the names of optional dependencies that it has no entry of.
 *
 * @returns that lock, and what was left out, as `PACKAGE of FOLDER`
 */
export function withoutAbsent<L extends NodeLock>(lock: L): { lock: L; absent: string[] } {
  const absent: string[] = []
  const packages = Object.entries(lock.packages).map(([folder, entry]) => {
    const { optionalDependencies } = entry
    if (optionalDependencies === undefined) return [folder, entry] as const
    const kept = Object.entries(optionalDependencies).filter(([name]) => {
      if (isLocked(lock, folder, name)) return true
      absent.push(`${name} of ${folder}`)
      return false
    })
    return [folder, { ...entry, optionalDependencies: Object.fromEntries(kept) }] as const
  })
  return { lock: { ...lock, packages: Object.fromEntries(packages) }, absent }
}

/** Looks where Node.js does: in the package's own modules, then in those of the folders above. */
function isLocked({ packages }: NodeLock, folder: string, name: string): boolean {
  const above = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf(WITHIN)))
  for (let at = folder; at !== ''; at = above(at)) {
    if (`${at}${WITHIN}${name}` in packages) return true
  }
  return `node_modules/${name}` in packages
}
