import { eastAsianWidth } from 'get-east-asian-width'

/** The fewest terminal columns that a column of a table is cut to. */
const LEAST_COLUMN = 8
const GAP = '  '
/** Marks and format characters take no terminal column of their own. Control characters take one: they are shown as `?`. */
const NO_WIDTH = /[\p{M}\p{Cf}]/u
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

/**
 * Counts the terminal columns of a text by Unicode's East Asian Width (UAX #11). The package string-width would also join
 * emoji sequences, but its Intl.Segmenter takes 15 ms or more of the start of every command.
 */
function widthOf(text: string): number {
  let width = 0
  for (const character of text) {
    width += NO_WIDTH.test(character) ? 0 : eastAsianWidth(character.codePointAt(0) ?? 0)
  }
  return width
}
