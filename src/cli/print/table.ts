/** Narrower columns tell nothing. */
const LEAST_COLUMN = 8
const GAP = '  '
/** Nothing is drawn for these but what they add to the character before. */
const NO_WIDTH = /[\p{M}\p{Cf}]/u
/** Scripts and signs that terminals draw twice as wide. */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1f64f}\u{1f680}-\u{1f6ff}\u{1f900}-\u{1faff}\u{20000}-\u{3fffd}]/u

type Rows = readonly (readonly string[])[]

/** Columns padded to their widest cell, two spaces between. */
export function table(rows: Rows): string[] {
  return padded(rows, widthsOf(rows))
}

/**
 * {@link table} whose widest columns are cut where standard output is a terminal that they do not fit.
 *
 * @param columns of the terminal; undefined where there is none
 */
export function fittedTable(
  rows: Rows,
  columns = process.stdout.isTTY ? process.stdout.columns : undefined
): string[] {
  const widths = widthsOf(rows)
  if (columns === undefined) return padded(rows, widths)
  const total = (): number => widths.reduce((sum, width) => sum + width + GAP.length, -GAP.length)
  while (total() > columns && Math.max(...widths) > LEAST_COLUMN) {
    const widest = Math.max(...widths)
    widths[widths.lastIndexOf(widest)] = widest - 1
  }
  return padded(
    rows.map((row) => row.map((cell, column) => shortened(cell, widths[column] ?? 0))),
    widths
  )
}

function widthsOf(rows: Rows): number[] {
  const widths: number[] = []
  for (const row of rows) {
    row.forEach((cell, column) => {
      widths[column] = Math.max(widths[column] ?? 0, widthOf(cell))
    })
  }
  return widths
}

function padded(rows: Rows, widths: readonly number[]): string[] {
  return rows.map((row) =>
    row
      .map((cell, column) => cell + ' '.repeat((widths[column] ?? 0) - widthOf(cell)))
      .join(GAP)
      .trimEnd()
  )
}

/** A text cut to no more than `width` columns of a terminal. */
export function shortened(text: string, width: number): string {
  if (widthOf(text) <= width) return text
  let kept = ''
  let left = width - 1
  for (const character of text) {
    left -= widthOf(character)
    if (left < 0) break
    kept += character
  }
  return `${kept}…`
}

/** How many columns of a terminal a text takes. */
function widthOf(text: string): number {
  let width = 0
  for (const character of text) {
    width += NO_WIDTH.test(character) ? 0 : WIDE.test(character) ? 2 : 1
  }
  return width
}
