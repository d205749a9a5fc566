/** What tells releases of HyperOS apart; null or undefined where a manifest does not tell. */
export interface Release {
  /** As `0.1.0`; what follows a dash or plus does not count. */
  readonly version?: string | null | undefined
  /** ISO 8601, UTC. */
  readonly released?: string | null | undefined
}

/**
 * Orders releases: by version, then by the time of their release. What does not tell its version or
 * time is older than what does.
 *
 * @returns below 0 when `a` is older than `b`, 0 when nothing tells which is
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
