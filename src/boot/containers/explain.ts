import type { StartMarks } from '../state/container-record.ts'
import { divideTime, type Interval, type Layer } from '../state/intervals.ts'
import type { MountTrace, StalledFile } from '../lease/mount-trace.ts'

/** The parts of the time until ready, in the order in which they usually come. */
export const START_PARTS = [
  'programs',
  'discovery',
  'connect',
  'metadata',
  'mount',
  'setUp',
  'demand',
  'prefetch',
  'container'
] as const
export type StartPart = (typeof START_PARTS)[number]

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
  const { commandMs, startedMs, readyMs } = marks
  if (startedMs === undefined || readyMs === undefined) return undefined
  const within: Interval = [commandMs, readyMs]
  const divided = divideTime(within, startLayers(marks, startedMs, readyMs, trace))
  const parts = Object.fromEntries(
    START_PARTS.map((part) => [
      part,
      divided.reduce((sum, { what, ms }) => (what === part ? sum + ms : sum), 0)
    ])
  ) as Record<StartPart, number>
  const totalMs = readyMs - commandMs
  const attributed = divided.reduce((sum, { ms }) => sum + ms, 0)
  return {
    totalMs,
    parts,
    notAttributedMs: totalMs - attributed,
    worst: trace.worst,
    cpu: isOwn(marks, trace) ? trace.cpu : null
  }
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
  { opening, demand, ahead, mountingMs, mountedMs }: MountTrace
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
