import { execa } from 'execa'
import type { StarHost } from './star.ts'

/** Round trips between two hosts. */
export interface Pinged {
  readonly averageMs: number
  /** Share of the pings without an answer. */
  readonly lost: number
}

/** Pings so many times, ten milliseconds apart. */
export async function ping(from: StarHost, to: StarHost, count: number): Promise<Pinged> {
  const [program = '', ...prefix] = from.prefix
  const args = ['-n', '-q', '-i', '0.01', '-W', '2', '-c', String(count), to.address]
  // Not every ping ends with 0 when some answers are missing.
  const { stdout } = await execa(program, [...prefix, 'ping', ...args], { reject: false })
  const [, average] = /= [\d.]+\/([\d.]+)\//.exec(stdout) ?? []
  const [, received] = /, (\d+) received/.exec(stdout) ?? []
  return { averageMs: Number(average), lost: 1 - Number(received) / count }
}
