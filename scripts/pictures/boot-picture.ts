import { COLOURS, picture, rectangle, text } from './svg.ts'
import type { MeasuredBoot } from './measure-boot.ts'

const LABELS = 220
const CHART = 490
const TOP = 84
const ROW = 27

/** The parts of `stats --explain` in the order in which they mostly happen, in a reader's words. */
const PARTS = [
  ['programs', 'start our processes'],
  ['discovery', 'find a peer'],
  ['connect', 'connect to it'],
  ['metadata', 'fetch manifest and index'],
  ['mount', 'mount the image'],
  ['setUp', 'overlay, systemd-nspawn'],
  ['demand', 'wait for content nobody foresaw'],
  ['prefetch', 'wait for content on its way'],
  ['container', 'systemd in the container']
] as const

/** One boot as a waterfall: each part starts where the one above it ends. */
export function bootPicture({
  mbit,
  rttMs,
  imageBytes,
  fetchedBytes,
  start
}: MeasuredBoot): string {
  const scale = CHART / start.totalMs
  const rows: (readonly [string, number, string])[] = [
    ...PARTS.map(([part, label]) => [label, start.parts[part] ?? 0, COLOURS.ours] as const),
    ['not attributed', start.notAttributedMs, COLOURS.other]
  ]
  const parts: string[] = []
  let from = 0
  let y = TOP
  for (const [label, ms, colour] of rows.filter(([, ms]) => ms >= 0.5)) {
    const x = LABELS + from * scale
    const bar = { x, y, width: Math.max(1.5, ms * scale), height: ROW - 9 }
    parts.push(
      text(LABELS - 10, y + 14, label, { anchor: 'end' }),
      rectangle(bar, colour),
      text(x + bar.width + 6, y + 14, `${Math.round(ms)} ms`, { size: 13, colour: COLOURS.faint })
    )
    from += ms
    y += ROW
  }
  y += 16
  const whole = { x: LABELS, y, width: CHART, height: ROW - 9 }
  const share = fetchedBytes / imageBytes
  parts.push(
    text(LABELS - 10, y + 14, 'fetched when ready', { anchor: 'end' }),
    rectangle(whole, COLOURS.panel, COLOURS.frame),
    rectangle({ ...whole, width: CHART * share }, COLOURS.warm),
    text(
      LABELS + CHART * share + 6,
      y + 14,
      `${megabytes(fetchedBytes)} of ${megabytes(imageBytes)} MB`,
      { size: 13 }
    )
  )
  const seconds = (start.totalMs / 1_000).toFixed(2)
  const title = `A cold boot of Debian: ${seconds} s from the command until systemd is ready`
  return picture(
    y + ROW + 14,
    { title, description: rows.map(([label, ms]) => `${label}: ${Math.round(ms)} ms`).join('; ') },
    [
      text(24, 36, title, { size: 18, bold: true }),
      text(
        24,
        60,
        `${mbit} Mbit/s, ${rttMs} ms, caches empty, image shared with --profile; the median of five boots.`,
        { size: 13, colour: COLOURS.faint }
      ),
      ...parts
    ]
  )
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1)
}
