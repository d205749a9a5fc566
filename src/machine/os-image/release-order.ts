/** The fields that order releases of HyperOS; null or undefined if a manifest lacks them. */
export interface Release {
  /** Such as `0.1.0`; anything after a dash or plus is ignored. */
  readonly version?: string | null | undefined
  /** ISO 8601, UTC. */
  readonly released?: string | null | undefined
}

/**
 * Orders releases by version, then by release time. A release without version or time counts as older.
 *
 * @returns below 0 when `a` is older than `b`, 0 when nothing tells which is older
 */
export function compareReleases(a: Release, b: Release): number {
  const [ofA, ofB] = [numbersOf(a), numbersOf(b)]
  for (let at = 0; at < ofA.length; at++) {
    const difference = (ofA[at] ?? 0) - (ofB[at] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

function numbersOf({ version, released }: Release): number[] {
  const parts = /^(\d+)\.(\d+)\.(\d+)/.exec(version ?? '')?.slice(1) ?? ['0', '0', '0']
  return [...parts.map(Number), released ? Date.parse(released) : 0]
}
