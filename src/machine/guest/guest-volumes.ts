import { posix, relative, resolve, sep } from 'node:path'
import type { Bind } from '../../boot/state/bind-option.ts'
import type { MachineShare } from '../state/machine-record.ts'

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
  volumes: readonly Bind[],
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

/** A volume as the guest's `boot -v` reads it, its source being where the guest sees that. */
export function guestVolume(path: string, { target, readOnly }: Bind): string {
  return `${path}:${target}${readOnly ? ':ro' : ''}`
}
