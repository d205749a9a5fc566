import { COLOURS, picture, rectangle, text } from './svg.ts'

/** A row of `summary` in `bench/results/wan.json`. */
export interface WanRow {
  readonly workload: string
  readonly what: string
  readonly 'R2 ms': number
}

/** What is compared, by its name in the results, with the name that a reader knows it by. */
const WAYS = [
  ['dat-container', 'dat-container boot LINK', COLOURS.ours],
  ['rsync -z', 'rsync -z, systemd-nspawn', '#7f8c99'],
  ['skopeo + umoci', 'skopeo copy, umoci unpack', COLOURS.other],
  ['nbdkit + squashfs', 'squashfs over HTTP', COLOURS.warm]
] as const

const LABELS = 100
const CHART = 660
const BAR = 12
const GAP = 14
const TOP = 108

/** Seconds until each workload answers: a group of bars for each, the fastest workload first. */
export function speedPicture(rows: readonly WanRow[], mbit: number, rttMs: number): string {
  const of = (workload: string, what: string): number | undefined =>
    rows.find((row) => row.workload === workload && row.what === what)?.['R2 ms']
  const workloads = [...new Set(rows.map(({ workload }) => workload))].sort(
    (a, b) => (of(a, WAYS[0][0]) ?? 0) - (of(b, WAYS[0][0]) ?? 0)
  )
  const longest = Math.max(
    ...workloads.flatMap((workload) => WAYS.map(([what]) => of(workload, what) ?? 0))
  )
  const parts: string[] = []
  let y = TOP
  for (const workload of workloads) {
    const middle = y + (WAYS.length * BAR) / 2 + 5
    parts.push(text(LABELS - 12, middle, workload, { anchor: 'end', bold: true }))
    for (const [what, , colour] of WAYS) {
      const ms = of(workload, what)
      if (ms === undefined) continue
      const width = (ms / longest) * CHART
      const isOurs = what === WAYS[0][0]
      parts.push(
        rectangle({ x: LABELS, y, width, height: BAR - 2 }, colour, undefined, 1),
        text(LABELS + width + 5, y + BAR - 3, `${(ms / 1e3).toFixed(1)} s`, {
          size: 11,
          bold: isOurs,
          colour: isOurs ? COLOURS.text : COLOURS.faint
        })
      )
      y += BAR
    }
    y += GAP
  }
  const legend = WAYS.flatMap(([, label, colour], n) => {
    const x = [24, 226, 434, 646][n] ?? 0
    return [
      rectangle({ x, y: 76, width: 12, height: 12 }, colour),
      text(x + 17, 87, label, { size: 12.5 })
    ]
  })
  const title = 'Seconds from the command until the workload answers'
  return picture(y + 8, { title, description: description(workloads, of) }, [
    text(24, 36, title, { size: 18, bold: true }),
    text(
      24,
      60,
      `Link of ${mbit} Mbit/s and ${rttMs} ms, everything cold, medians of ten runs. Shorter is better.`,
      { size: 13, colour: COLOURS.faint }
    ),
    ...legend,
    ...parts
  ])
}

function description(
  workloads: readonly string[],
  of: (workload: string, what: string) => number | undefined
): string {
  const seconds = (ms: number | undefined): string =>
    ms === undefined ? 'not measured' : `${(ms / 1e3).toFixed(1)} s`
  return workloads
    .map(
      (workload) =>
        `${workload}: ${WAYS.map(([what, label]) => `${label} ${seconds(of(workload, what))}`).join(', ')}`
    )
    .join('; ')
}
