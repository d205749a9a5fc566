import { monotonicMs } from '../../core/monotonic-clock.ts'
import { START_PARTS } from '../../rpc/start-parts.ts'
import type { StartNote } from '../../rpc/start-note.ts'
import { lengthOf, type Interval } from '../state/intervals.ts'
import { placeStart } from './explain-start.ts'
import type { ContainerReady } from './mounter-protocol.ts'
import type { MountTimes } from './mount-trace.ts'

/** Gaps of less than this part of a start are closed, so that there are few times to tell and to keep. */
const LEAST_GAP = 1 / 400

/**
 * Makes the note of a start that the daemon keeps.
 *
 * @param trace says what the mounter did meanwhile
 * @returns undefined where the container is not ready
 */
export function startNote(
  { container, mode, marks }: NonNullable<ContainerReady['start']>,
  trace: (within: Interval) => MountTimes
): Omit<StartNote, 'handle'> | undefined {
  const { commandMs, readyMs } = marks
  if (readyMs === undefined) return undefined
  const placed = placeStart(marks, trace([commandMs, readyMs]))
  if (placed === undefined) return undefined
  const { totalMs, times } = placed
  const parts = START_PARTS.map((part) => ({
    part,
    ms: lengthOf(times[part]),
    times: closed(times[part], totalMs * LEAST_GAP)
  }))
  const at = new Date(Date.now() - (monotonicMs() - commandMs)).toISOString()
  return { container, mode, at, totalMs, parts }
}

function closed(times: readonly Interval[], leastGapMs: number): Interval[] {
  const joined: [number, number][] = []
  for (const [since, until] of times) {
    const last = joined.at(-1)
    if (last !== undefined && since - last[1] < leastGapMs) last[1] = until
    else joined.push([since, until])
  }
  return joined
}
