import { existsSync, statSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { mountPointOf, readMountTable } from '../../fuse/linux/mount-table.ts'
import { writeFileAtomically } from '../../core/atomic-file.ts'
import { ContainerError } from '../../core/errors.ts'
import { readRecord } from '../../core/json-file.ts'
import { takeLock } from '../../core/host/kernel-lock.ts'
import { findTaken, overlaps, type TakenIds } from './taken-ids.ts'
import type { IdRange } from './user-namespace.ts'
import * as v from 'valibot'
import { count, type RecordFormat } from '../../core/record-format.ts'

/** Shared by all homes of this machine. */
const REGISTRY = '/var/lib/dat-container/id-ranges.json'
const FORMAT_VERSION = 1

/** The number of 16-bit ids, including that of `nobody` (65534). */
export const RANGE_IDS = 65_536
/**
 * Between the ids that systemd gives to containers (524288 to 1879048191) and those that it keeps for
 * foreign images (from 2147352576 on); nothing else is known to live there but SSSD, see below.
 */
const LOWEST = 0x7000_0000
const END = 0x7ffe_0000
/** Above what SSSD maps domains to unless it is told otherwise: taken first. */
const FIRST = 2_000_224_256
const LOCK_WAIT_MS = 30_000

/** The owner of a range: one container of one home. */
export interface RangeOwner {
  /** Real path. */
  readonly home: string
  readonly name: string
}

interface RangeEntry extends RangeOwner {
  readonly base: number
  /** Mount point of the file system with the home: a missing home may be on a disk that is not mounted. */
  readonly mountPoint: string
  /** It may own files outside of its container's directory, and so is never free again. */
  readonly outside?: true
}

interface Registry {
  readonly formatVersion: typeof FORMAT_VERSION
  /** Where the search for the next range starts, so that ranges are reused as late as possible. */
  readonly next: number
  readonly ranges: readonly RangeEntry[]
}

const REGISTRY_FORMAT: RecordFormat<Registry> = {
  field: 'formatVersion',
  version: FORMAT_VERSION,
  shape: v.looseObject({
    formatVersion: v.literal(FORMAT_VERSION),
    next: count,
    ranges: v.array(
      v.looseObject({
        home: v.string(),
        name: v.string(),
        base: count,
        mountPoint: v.string(),
        outside: v.exactOptional(v.literal(true))
      })
    )
  })
}

export interface ClaimOptions {
  /** The range that the container already has, because its files belong to it. */
  readonly known?: IdRange | undefined
  /** See {@link RangeEntry}. @default false */
  readonly outside?: boolean
  /** Ranges of containers of this home that the registry may lack. */
  readonly ofHome?: () => Promise<readonly number[]>
  /** @default the machine's */
  readonly registry?: string
  /** @default {@link findTaken} */
  readonly taken?: () => Promise<TakenIds>
}

/**
 * Claims a range of ids for one container. No other container of this machine has any of them, nor do its users, groups,
 * /etc/subuid and /etc/subgid. The claim is on disk when this returns. The owner's directory must exist, because a range
 * whose owner is gone is free.
 *
 * @throws ContainerError `BUSY` when there is none left, or what is known is another container's; `IO`, `DISK_FULL`
 */
export async function claimIdRange(
  { home, name }: RangeOwner,
  {
    known,
    outside = false,
    ofHome,
    registry: path = REGISTRY,
    taken = findTaken
  }: ClaimOptions = {}
): Promise<IdRange> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  await using lock = await takeLock(`${path}.lock`, { waitMs: LOCK_WAIT_MS })
  if (lock === undefined) {
    throw new ContainerError('BUSY', `another process has held ${path}.lock for 30 s`)
  }
  const registry = await readRegistry(path)
  const isOwners = (entry: RangeEntry): boolean => entry.home === home && entry.name === name
  const listed = registry.ranges.find((entry) => isOwners(entry) && entry.base === known?.base)
  if (known && listed && (listed.outside === true || !outside)) return known
  const holder = registry.ranges.find(
    (entry) => entry.base === known?.base && !isOwners(entry) && isOther(entry, { home, name })
  )
  if (holder) throw sameIds(name, holder)
  const mountPoints = (await readMountTable()).map(({ mountPoint }) => mountPoint)
  const others = registry.ranges.filter(
    (entry) =>
      entry !== listed &&
      (entry.outside === true || (!isOwners(entry) && isInUse(entry, mountPoints)))
  )
  // A home from a backup, or a registry that is new: its containers' own records tell.
  const isNewHome = !registry.ranges.some((entry) => entry.home === home)
  const used = [...others.map(({ base }) => base), ...(isNewHome ? ((await ofHome?.()) ?? []) : [])]
  const base = known?.base ?? (await findFree(registry.next, used, taken))
  const entry: RangeEntry = {
    base,
    home,
    name,
    mountPoint: mountPointOf(home, mountPoints),
    ...(outside ? { outside: true as const } : {})
  }
  await writeRegistry(path, {
    formatVersion: FORMAT_VERSION,
    next: known === undefined ? base + RANGE_IDS : registry.next,
    ranges: [...others, entry]
  })
  return { base, count: RANGE_IDS }
}

async function findFree(
  next: number,
  used: readonly number[],
  look: () => Promise<TakenIds>
): Promise<number> {
  const bases = new Set(used)
  const taken = await look()
  const count = (END - LOWEST) / RANGE_IDS
  for (let step = 0; step < count; step++) {
    const base = LOWEST + ((next - LOWEST + step * RANGE_IDS) % (END - LOWEST))
    const range = { base, count: RANGE_IDS }
    if (!bases.has(base) && !overlaps(range, taken.ranges) && !(await taken.hasAccount(base))) {
      return base
    }
  }
  throw new ContainerError('BUSY', `all ${count} ranges of user ids for containers are in use`, {
    hint: 'remove containers that are no longer needed: dat-container ps --all, dat-container rm NAME'
  })
}

/** Tells whether another container has the range, for example in a home that was copied. */
function isOther(entry: RangeEntry, owner: RangeOwner): boolean {
  const [theirs, ours] = [entry, owner].map(({ home, name }) =>
    statSync(join(home, 'containers', name), { throwIfNoEntry: false })
  )
  // One directory may be seen at two places.
  return theirs !== undefined && (theirs.dev !== ours?.dev || theirs.ino !== ours.ino)
}

function sameIds(name: string, holder: RangeOwner): ContainerError {
  return new ContainerError(
    'BUSY',
    `container ${name} has the user ids of container ${holder.name} of ${holder.home}`,
    {
      hint:
        'this home is a copy of that one, and one container could become root of the other’s files: ' +
        `remove one of the two (dat-container rm ${name}), or boot the image anew with another name`
    }
  )
}

/** Tells whether a range is in use; if that cannot be determined, it is. */
function isInUse({ home, name, mountPoint }: RangeEntry, mountPoints: readonly string[]): boolean {
  if (existsSync(join(home, 'containers', name))) return true
  return !existsSync(home) && !mountPoints.includes(mountPoint)
}

async function readRegistry(path: string): Promise<Registry> {
  const found = await readRecord(path, REGISTRY_FORMAT)
  if (found.kind === 'record') return found.record
  if (found.kind === 'absent') return { formatVersion: FORMAT_VERSION, next: FIRST, ranges: [] }
  const why = found.kind === 'later' ? 'is of a later release' : `is damaged: it ${found.why}`
  throw new ContainerError('IO', `${path} ${why}`, {
    hint: `it assigns user ids to containers; without it, two homes may use the same ids: mv ${path} ${path}.damaged`
  })
}

async function writeRegistry(path: string, registry: Registry): Promise<void> {
  await writeFileAtomically(path, `${JSON.stringify(registry, undefined, 1)}\n`)
}
