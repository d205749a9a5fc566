/** Colours of all pictures. They stand on a background of their own, so dark pages show them too. */
export const COLOURS = {
  background: '#ffffff',
  frame: '#d0d7de',
  panel: '#f3f6f8',
  text: '#1f2328',
  faint: '#57606a',
  ours: '#0b7a75',
  ourLight: '#d5efed',
  other: '#b8c0c8',
  warm: '#c98b2b'
} as const

/** What GitHub gives a page's column: a picture of this width is shown at its own size. */
export const WIDTH = 840

interface TextStyle {
  readonly size?: number
  readonly bold?: boolean
  readonly colour?: string
  readonly anchor?: 'start' | 'middle' | 'end'
}

/** One line of text; `y` is its baseline. */
export function text(x: number, y: number, content: string, style: TextStyle = {}): string {
  const { size = 14, bold = false, colour = COLOURS.text, anchor = 'start' } = style
  return (
    `<text x="${round(x)}" y="${round(y)}" font-size="${size}" fill="${colour}" text-anchor="${anchor}"` +
    `${bold ? ' font-weight="600"' : ''}>${escaped(content)}</text>`
  )
}

export interface Box {
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
}

/** A rectangle; with a `stroke`, it has a border of that colour. */
export function rectangle(box: Box, fill: string, stroke?: string, corner = 2): string {
  const border = stroke === undefined ? '' : ` stroke="${stroke}"`
  return (
    `<rect x="${round(box.x)}" y="${round(box.y)}" width="${round(box.width)}" height="${round(box.height)}"` +
    ` rx="${corner}" fill="${fill}"${border}/>`
  )
}

/** A line through points, with an arrowhead at its end. */
export function arrow(points: readonly (readonly [number, number])[]): string {
  const path = points.map(([x, y]) => `${round(x)},${round(y)}`).join(' ')
  return `<polyline points="${path}" fill="none" stroke="${COLOURS.faint}" stroke-width="1.5" marker-end="url(#arrow)"/>`
}

/** A whole picture. `title` and `description` are for readers who cannot see it. */
export function picture(
  height: number,
  { title, description }: { readonly title: string; readonly description: string },
  parts: readonly string[]
): string {
  const edge = rectangle(
    { x: 0.5, y: 0.5, width: WIDTH - 1, height: height - 1 },
    COLOURS.background,
    COLOURS.frame,
    8
  )
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" font-family="system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif">
<title>${escaped(title)}</title>
<desc>${escaped(description)}</desc>
<defs><marker id="arrow" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L10 5L0 10z" fill="${COLOURS.faint}"/></marker></defs>
${[edge, ...parts].join('\n')}
</svg>
`
}

function escaped(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}

function round(value: number): number {
  return Math.round(value * 10) / 10
}
