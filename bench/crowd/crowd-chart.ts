import { barGroups } from '../bar-groups.ts'
import type { Row } from '../report.ts'

/** For each way: the last reader's time as a multiple of a lone reader's, and the copies that the publisher sent, as SVG. */
export function crowdChart(rows: readonly Row[]): string {
  const crowds = rows.filter(({ readers }) => Number(readers) > 1)
  const group = (title: string, column: string): Parameters<typeof barGroups>[1][number] => ({
    title,
    bars: crowds.map((row) => ({
      label: String(row['way']),
      length: Number(row[column]),
      shown: String(row[column])
    }))
  })
  const readers = Number(crowds[0]?.['readers'] ?? 0)
  return barGroups(`${readers} readers that get one image at the same time`, [
    group('Last reader, as a multiple of the time of a lone one', 'times a lone one'),
    group('Copies that the publisher sent', 'publisher sent, copies')
  ])
}
