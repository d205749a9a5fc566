import type { StartMarks } from '../state/container-record.ts'
import { START_PARTS, type StartPart } from '../../rpc/start-parts.ts'
import { lengthOf, placeTime, type Interval, type Layer } from '../state/intervals.ts'
import type { MountTimes, MountTrace, StalledFile } from './mount-trace.ts'

/** The division of the time until a container was ready, in milliseconds. */
export interface StartExplanation {
  /** From the start of the command until ready. */
  readonly totalMs: number
  /**
   * `programs`: our processes start and reach the daemon. `discovery`: a peer that has the image is
   * looked for. `connect`. `metadata`: manifest, index and profile come and are decoded. `mount`:
   * EROFS image and mounts. `setUp`: overlay and nspawn, until there is a PID 1. `demand`: a read
   * waits for content that was not asked for before. `prefetch`: one waits for content that is on
   * its way. `container`: PID 1 is there, and no read waits. Each instant counts once.
   */
  readonly parts: Readonly<Record<StartPart, number>>
  /** Time that no part covers. */
  readonly notAttributedMs: number
  readonly worst: readonly StalledFile[]
  /** Processor time meanwhile, which is within the parts; null where the image was open before. */
  readonly cpu: MountTrace['cpu']
}

/** Divides the time of a start among its causes; pure. @returns undefined before the container is ready */
export function explainStart(marks: StartMarks, trace: MountTrace): StartExplanation | undefined {
  const placed = placeStart(marks, trace)
  if (placed === undefined) return undefined
  const { totalMs, times } = placed
  const parts = Object.fromEntries(
    START_PARTS.map((part) => [part, lengthOf(times[part])])
  ) as Record<StartPart, number>
  const attributed = Object.values(parts).reduce((sum, ms) => sum + ms, 0)
  return {
    totalMs,
    parts,
    notAttributedMs: totalMs - attributed,
    worst: trace.worst,
    cpu: isOwn(marks, trace) ? trace.cpu : null
  }
}

/** When each part of a start was, in milliseconds since the command began. Each instant is in one part at most. */
export interface PlacedStart {
  readonly totalMs: number
  readonly times: Readonly<Record<StartPart, readonly Interval[]>>
}

/** Places the causes of a start in time; pure. @returns undefined before the container is ready */
export function placeStart(marks: StartMarks, trace: MountTimes): PlacedStart | undefined {
  const { commandMs, startedMs, readyMs } = marks
  if (startedMs === undefined || readyMs === undefined) return undefined
  const placed = placeTime([commandMs, readyMs], startLayers(marks, startedMs, readyMs, trace))
  const timesOf = (part: StartPart): Interval[] =>
    placed
      .flatMap(({ what, times }) => (what === part ? times : []))
      .map(([since, until]): Interval => [since - commandMs, until - commandMs])
      .sort(([one], [other]) => one - other)
  const times = Object.fromEntries(START_PARTS.map((part) => [part, timesOf(part)])) as Record<
    StartPart,
    Interval[]
  >
  return { totalMs: readyMs - commandMs, times }
}

/** Whether the image was opened for this start, and not for one before. */
function isOwn({ commandMs }: StartMarks, { opening }: Pick<MountTrace, 'opening'>): boolean {
  return opening !== null && opening.beganMs >= commandMs
}

/** The first that covers an instant gets it: a read that waits, before what it keeps from going on. */
function startLayers(
  marks: StartMarks,
  startedMs: number,
  readyMs: number,
  { opening, demand, ahead, mountingMs, mountedMs }: MountTimes
): Layer<StartPart>[] {
  const layers: Layer<StartPart>[] = [
    { what: 'demand', intervals: demand },
    { what: 'prefetch', intervals: ahead }
  ]
  // Somebody else had mounted the image before.
  const untilMs =
    opening !== null && isOwn(marks, { opening }) ? opening.beganMs : (marks.mountedMs ?? startedMs)
  const programs: Interval[] = [[marks.commandMs, untilMs]]
  if (opening !== null) {
    const { foundMs, connectedMs, askedMs, answeredMs } = opening
    programs.push([opening.beganMs, askedMs])
    const connected = Math.max(askedMs, connectedMs ?? askedMs)
    const found = Math.min(Math.max(askedMs, foundMs ?? askedMs), connected)
    layers.push(
      { what: 'discovery', intervals: [[askedMs, found]] },
      { what: 'connect', intervals: [[found, connected]] },
      { what: 'metadata', intervals: [[connected, Math.max(answeredMs, opening.readyMs)]] }
    )
  }
  layers.push(
    { what: 'programs', intervals: programs },
    {
      what: 'mount',
      intervals: [[Math.min(mountingMs, opening?.readyMs ?? mountingMs), mountedMs]]
    },
    { what: 'setUp', intervals: [[Math.max(mountedMs, marks.commandMs), startedMs]] },
    // Decoded after the mount, nobody waits for it before that.
    { what: 'metadata', intervals: opening?.decoding ? [opening.decoding] : [] },
    { what: 'container', intervals: [[startedMs, readyMs]] }
  )
  return layers
}
