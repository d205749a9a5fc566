import { posix, relative, resolve, sep } from 'node:path'
import { ContainerError } from '../image/errors.ts'
import type { MachineShare } from './machine-record.ts'

/** A `-v SRC:DST[:ro]` of `boot`. */
export interface Volume {
  /** Full path. */
  readonly source: string
  /** `DST[:ro]`. */
  readonly rest: string
}

/** @throws ContainerError `USAGE` */
export function parseVolume(text: string): Volume {
  const colon = text.indexOf(':', /^[a-z]:[\\/]/i.test(text) ? 2 : 0)
  if (colon < 1) {
    throw new ContainerError('USAGE', `not a volume: ${JSON.stringify(text)}`, {
      hint: 'give SOURCE:TARGET or SOURCE:TARGET:ro'
    })
  }
  return { source: resolve(text.slice(0, colon)), rest: text.slice(colon + 1) }
}

/**
 * Where a guest sees a directory of this machine, by what is shared with it.
 *
 * @returns undefined where nothing that is shared holds it
 */
export function pathInGuest(source: string, shares: readonly MachineShare[]): string | undefined {
  for (const share of shares) {
    const inside = relative(share.source, source)
    if (inside === '..' || inside.startsWith(`..${sep}`) || inside === resolve(inside)) continue
    return posix.join(share.target, ...inside.split(sep))
  }
  return undefined
}

/**
 * What a machine that is about to start must share, so that volumes can be shown there.
 *
 * @param shares what it shared the last time
 * @returns `DIR:TARGET[:ro]`, each for `machine start --share`; undefined where nothing is missing
 */
export function sharesFor(
  volumes: readonly Volume[],
  shares: readonly MachineShare[]
): string[] | undefined {
  const missing = volumes
    .map(({ source }) => source)
    .filter((source) => pathInGuest(source, shares) === undefined)
  if (missing.length === 0) return undefined
  const kept = shares.map(
    ({ source, target, readOnly }) => `${source}:${target}${readOnly ? ':ro' : ''}`
  )
  return [...kept, ...[...new Set(missing)].map((source) => `${source}:${guestPlace(source)}`)]
}

/** `/mnt/host` and the path; a colon of Windows would end it. */
function guestPlace(source: string): string {
  return posix.join('/mnt/host', ...source.replaceAll(':', '').split(sep))
}
