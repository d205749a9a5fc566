/** Pixels. */
const BAR = 14
const GAP = 18
const LABELS = 150
const WIDTH = 620
const VALUES = 70
const HEAD = 34
const COLOURS: Readonly<Record<string, string>> = {
  'dat-container': '#0b7a75',
  pull: '#0b7a75',
  boot: '#0b7a75',
  T_local: '#9aa5b1'
}
const OTHER = '#c98b2b'

export interface Bar {
  readonly label: string
  /** In any unit: the longest of all groups fills the width. */
  readonly length: number
  /** What stands behind the bar. */
  readonly shown: string
}

export interface BarGroup {
  readonly title: string
  readonly bars: readonly Bar[]
}

/** Groups of horizontal bars of one scale, as SVG. */
export function barGroups(heading: string, groups: readonly BarGroup[]): string {
  const longest = Math.max(
    Number.MIN_VALUE,
    ...groups.flatMap(({ bars }) => bars.map(({ length }) => length))
  )
  const parts: string[] = []
  let y = HEAD
  for (const { title, bars } of groups) {
    y += GAP
    parts.push(text(0, y, title, 'font-weight="bold"'))
    y += 6
    for (const { label, length, shown } of bars) {
      const width = Math.max(1, (length / longest) * WIDTH)
      const base = y + BAR - 3
      parts.push(
        text(LABELS - 6, base, label, 'text-anchor="end"'),
        `<rect x="${LABELS}" y="${y}" width="${width.toFixed(1)}" height="${BAR - 2}" fill="${COLOURS[label] ?? OTHER}"/>`,
        text(LABELS + width + 4, base, shown)
      )
      y += BAR
    }
  }
  const [width, height] = [LABELS + WIDTH + VALUES, y + GAP]
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="11">
<rect width="${width}" height="${height}" fill="white"/>
${text(0, 18, heading, 'font-size="14"')}
${parts.join('\n')}
</svg>
`
}

function text(x: number, y: number, content: string, attributes = ''): string {
  const escaped = content.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
  return `<text x="${x.toFixed(1)}" y="${y}" ${attributes}>${escaped}</text>`
}
