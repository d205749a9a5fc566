import type { Row } from '../report.ts'

const BAR = 14
const GAP = 18
const LABELS = 150
const WIDTH = 620
const VALUES = 70
const HEAD = 34
const COLOURS: Readonly<Record<string, string>> = { 'dat-container': '#0b7a75', T_local: '#9aa5b1' }
const OTHER = '#c98b2b'

/**
 * Time to ready of every way to every workload, as SVG: a group of bars each, in rows as `summarize`
 * makes them. T_floor is left out: it is no way to a container.
 */
export function barChart(rows: readonly Row[]): string {
  const shown = rows.filter(({ what }) => what !== 'T_floor')
  const longest = Math.max(1, ...shown.map(time))
  const parts: string[] = []
  let y = HEAD
  let group = ''
  for (const row of shown) {
    const title = `${row['workload']}, ${row['Mbit/s']} Mbit/s, ${row['RTT ms']} ms`
    if (title !== group) {
      group = title
      y += GAP
      parts.push(text(0, y, title, 'font-weight="bold"'))
      y += 6
    }
    const what = String(row['what'])
    const width = Math.max(1, (time(row) / longest) * WIDTH)
    const base = y + BAR - 3
    parts.push(
      text(LABELS - 6, base, what, 'text-anchor="end"'),
      `<rect x="${LABELS}" y="${y}" width="${width.toFixed(1)}" height="${BAR - 2}" fill="${COLOURS[what] ?? OTHER}"/>`,
      text(LABELS + width + 4, base, `${(time(row) / 1e3).toFixed(2)} s`)
    )
    y += BAR
  }
  const [width, height] = [LABELS + WIDTH + VALUES, y + GAP]
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="11">
<rect width="${width}" height="${height}" fill="white"/>
${text(0, 18, 'From the command to a container that does what it is for: median, cold', 'font-size="14"')}
${parts.join('\n')}
</svg>
`
}

function time(row: Row): number {
  return Number(row['R2 ms'])
}

function text(x: number, y: number, content: string, attributes = ''): string {
  const escaped = content.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
  return `<text x="${x.toFixed(1)}" y="${y}" ${attributes}>${escaped}</text>`
}
