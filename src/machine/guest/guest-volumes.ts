import { posix, relative, resolve, sep } from 'node:path'
import type { Bind } from '../../boot/state/bind-option.ts'
import type { MachineShare } from '../state/machine-record.ts'

/**
 * Finds the path at which a guest sees a directory of this machine.
 *
 * @returns undefined when no shared directory contains it
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
 * Determines what a machine must share at its start so that it can show volumes.
 *
 * @param shares what it shared the last time
 * @returns `DIR:TARGET[:ro]` for each `machine start --share`; undefined when nothing is missing
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

/**
 * Formats a volume for the guest's `boot -v`.
 *
 * @param path of its source in the guest
 */
export function guestVolume(path: string, { target, readOnly }: Bind): string {
  return `${path}:${target}${readOnly ? ':ro' : ''}`
}
