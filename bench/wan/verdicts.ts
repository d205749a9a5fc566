import type { Row } from '../report.ts'
import { median, p95, rounded } from '../statistics.ts'
import type { Sample } from './contenders.ts'

/** A sample with where it belongs. */
export interface Measured extends Sample {
  readonly workload: string
  readonly mbit: number
  readonly rttMs: number
  readonly run: number
  readonly what: string
}

/** A workload over one link, and the stored bytes that it needs to be ready. */
export interface Traced {
  readonly workload: string
  readonly mbit: number
  readonly rttMs: number
  readonly tracedBytes: number
}

const EXTRA_MS = 800
const FLOOR_TIMES = 1.25
const ROUND_TRIPS = 10
const LINK_TIMES = 1.3
const NO_PROFILE_TIMES = 3
const PULL_TIMES = 1.15
const OFFLINE_TIMES = 1.3
const OFFLINE_EXTRA_MS = 300
/** Not other people's ways. */
const OWN = new Set([
  'T_local',
  'T_floor',
  'T_stream',
  'dat-container',
  'no profile',
  'pull',
  'offline',
  'named peer',
  'pull, named peer'
])

/** A row for each way to each workload over each link: what its runs have in common; fastest first. */
export function summarize(samples: readonly Measured[]): Row[] {
  return groups(samples, ({ workload, mbit, rttMs }) => [workload, mbit, rttMs]).flatMap((there) =>
    groups(there, ({ what }) => [what])
      .map(summaryOf)
      .sort((a, b) => Number(a['R2 ms']) - Number(b['R2 ms']))
  )
}

function summaryOf(runs: readonly Measured[]): Row {
  const { workload, mbit, rttMs, what } = runs[0] as Measured
  const values = (of: (run: Measured) => number): number[] => runs.map(of)
  const optional = (of: (run: Measured) => number | undefined): number | null => {
    const known = runs.map(of).filter((value) => value !== undefined)
    return known.length === 0 ? null : rounded(median(known))
  }
  return {
    workload,
    'Mbit/s': mbit,
    'RTT ms': rttMs,
    what,
    runs: runs.length,
    'R2 ms': rounded(median(values(({ r2Ms }) => r2Ms))),
    'p95 ms': rounded(p95(values(({ r2Ms }) => r2Ms))),
    'R0 ms': optional(({ r0Ms }) => r0Ms),
    'R1 ms': optional(({ r1Ms }) => r1Ms),
    'received MB': rounded(median(values(({ receivedBytes }) => receivedBytes)) / 1e6, 2),
    'sent MB': rounded(median(values(({ sentBytes }) => sentBytes)) / 1e6, 2),
    'waited reads': optional(({ demandReads }) => demandReads),
    'stalled ms': optional(({ stallMs }) => stallMs)
  }
}

/** A row for each workload over each link: the bars that one run of this can tell of. */
export function judge(samples: readonly Measured[], traces: readonly Traced[]): Row[] {
  return traces.flatMap(({ workload, mbit, rttMs, tracedBytes }) => {
    const here = samples.filter(
      (sample) => sample.workload === workload && sample.mbit === mbit && sample.rttMs === rttMs
    )
    const medianOf = (what: string, of = ({ r2Ms }: Measured): number => r2Ms): number => {
      const values = here.filter((sample) => sample.what === what).map(of)
      return values.length === 0 ? NaN : median(values)
    }
    const r2 = medianOf('dat-container')
    const bar =
      medianOf('T_local') + FLOOR_TIMES * medianOf('T_floor') + ROUND_TRIPS * rttMs + EXTRA_MS
    const rivals = [...new Set(here.map(({ what }) => what))]
      .filter((what) => !OWN.has(what))
      .map((what) => ({ what, r2: medianOf(what) }))
      .sort((a, b) => a.r2 - b.r2)
    const linkBytes = medianOf('dat-container', ({ receivedBytes }) => receivedBytes)
    return {
      workload,
      'Mbit/s': mbit,
      'RTT ms': rttMs,
      'T_local ms': whole(medianOf('T_local')),
      'T_floor ms': whole(medianOf('T_floor')),
      'R2 ms': whole(r2),
      'bar ms': whole(bar),
      'R2 holds': known(r2, bar),
      'fastest rival': rivals[0]?.what ?? null,
      'times rival': whole(r2 / (rivals[0]?.r2 ?? NaN), 2),
      'traced MB': rounded(tracedBytes / 1e6, 2),
      'link times traced': whole(linkBytes / tracedBytes, 2),
      'link holds': known(linkBytes, LINK_TIMES * tracedBytes),
      'no profile, times': whole(medianOf('no profile') / r2, 2),
      'no profile holds': known(medianOf('no profile'), NO_PROFILE_TIMES * r2),
      'pull, times stream': whole(medianOf('pull') / medianOf('T_stream'), 2),
      'pull holds': known(medianOf('pull'), PULL_TIMES * medianOf('T_stream')),
      'offline ms': whole(medianOf('offline')),
      'offline holds': known(
        medianOf('offline'),
        OFFLINE_TIMES * medianOf('T_local') + OFFLINE_EXTRA_MS
      )
    }
  })
}

function known(value: number, most: number): boolean | null {
  return Number.isNaN(value + most) ? null : value <= most
}

/** Null where something was not measured. */
function whole(value: number, digits = 0): number | null {
  return Number.isNaN(value) ? null : rounded(value, digits)
}

function groups<T>(items: readonly T[], keyOf: (item: T) => readonly unknown[]): T[][] {
  const found = new Map<string, T[]>()
  for (const item of items) {
    const key = JSON.stringify(keyOf(item))
    found.set(key, [...(found.get(key) ?? []), item])
  }
  return [...found.values()]
}
