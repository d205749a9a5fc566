import type { Row } from '../report.ts'
import { barGroups, type Bar, type BarGroup } from '../bar-groups.ts'

/**
 * Time to ready of every way to every workload, as SVG: a group of bars each, in rows as `summarize`
 * makes them. T_floor is left out: it is no way to a container.
 */
export function barChart(rows: readonly Row[]): string {
  const groups = new Map<string, Bar[]>()
  for (const row of rows) {
    if (row['what'] === 'T_floor') continue
    const title = `${row['workload']}, ${row['Mbit/s']} Mbit/s, ${row['RTT ms']} ms`
    const bars = groups.get(title) ?? []
    groups.set(title, bars)
    const ms = Number(row['R2 ms'])
    bars.push({ label: String(row['what']), length: ms, shown: `${(ms / 1e3).toFixed(2)} s` })
  }
  return barGroups(
    'From the command to a container that does what it is for: median, cold',
    [...groups].map(([title, bars]): BarGroup => ({ title, bars }))
  )
}
