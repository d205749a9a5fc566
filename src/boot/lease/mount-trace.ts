import type { ImageSession, OpeningTiming } from '../../session/connection/image-session.ts'
import { findHolders, pathsOf } from '../../image/format/profile-places.ts'
import { union, type Interval } from '../state/intervals.ts'
import type { ReadWait } from './start-recorder.ts'

/** When a mounter got where, by the clock of `monotonicMs`. */
export interface MountMarks {
  /** The process began. */
  readonly processMs: number
  readonly mountingMs: number
  readonly mountedMs: number
  /** Processor time that its daemon and itself took until the container was ready. */
  readonly cpu: { readonly daemonMs: number; readonly mounterMs: number } | null
}

/** Reads of one file that waited. */
export interface StalledFile {
  readonly path: string
  readonly reads: number
  /** Summed over its reads, which may have waited at the same time. */
  readonly ms: number
}

/** The times that a mounter knows of a start. */
export interface MountTimes extends Omit<MountMarks, 'cpu'> {
  readonly opening: OpeningTiming | null
  /** Times at which at least one read waited for content that nobody had asked for before it. */
  readonly demand: readonly Interval[]
  /** Reads that waited for content that was already requested. */
  readonly ahead: readonly Interval[]
}

/** The same, and what was waited for. */
export interface MountTrace extends MountTimes, Pick<MountMarks, 'cpu'> {
  /** The longest waits for content of both kinds. */
  readonly worst: readonly StalledFile[]
}

const WORST = 10

/**
 * Reports what a mounter did, and which reads waited, between two times. It searches the tree for the names of
 * files.
 */
export function traceMount(
  session: ImageSession,
  waits: readonly ReadWait[],
  { cpu, ...marks }: MountMarks,
  within: Interval
): MountTrace {
  const worst = worstFiles(session, waitsWithin(waits, within))
  return { ...timeMount(session, waits, marks, within), cpu, worst }
}

/** The times of {@link traceMount} alone, which needs no search. */
export function timeMount(
  session: Pick<ImageSession, 'opening' | 'cameAhead'>,
  waits: readonly ReadWait[],
  marks: Omit<MountMarks, 'cpu'>,
  [since, until]: Interval
): MountTimes {
  const within = waitsWithin(waits, [since, until])
  const isAhead = ({ chunk }: ReadWait): boolean => session.cameAhead?.(chunk) === true
  const times = (of: readonly ReadWait[]): Interval[] =>
    union(of.map(({ sinceMs, untilMs }) => [Math.max(sinceMs, since), Math.min(untilMs, until)]))
  return {
    ...marks,
    opening: session.opening ?? null,
    demand: times(within.filter((wait) => !isAhead(wait))),
    ahead: times(within.filter(isAhead))
  }
}

function waitsWithin(waits: readonly ReadWait[], [since, until]: Interval): ReadWait[] {
  return waits.filter((wait) => wait.sinceMs < until && wait.untilMs > since)
}

function worstFiles({ tree }: ImageSession, waits: readonly ReadWait[]): StalledFile[] {
  const holders = findHolders(tree, new Set(waits.map(({ chunk }) => chunk)))
  const files = new Map<number, { reads: number; ms: number }>()
  for (const { chunk, sinceMs, untilMs } of waits) {
    const inode = holders.get(chunk)?.inode
    if (inode === undefined) continue
    const file = files.get(inode) ?? { reads: 0, ms: 0 }
    file.reads++
    file.ms += untilMs - sinceMs
    files.set(inode, file)
  }
  const worst = [...files].sort(([, one], [, other]) => other.ms - one.ms).slice(0, WORST)
  const paths = pathsOf(tree, new Set(worst.map(([inode]) => inode)))
  return worst.map(([inode, file]) => ({ path: `/${paths.get(inode)?.toString() ?? ''}`, ...file }))
}
