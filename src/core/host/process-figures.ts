import { spawnSync } from 'node:child_process'

/** Figures of one process. */
export interface ProcessFigures {
  readonly state: string
  readonly parent: number
  readonly startTicks: number
  /** User and system time, in clock ticks (100 a second). */
  readonly cpuTicks: number
  /** How many threads it has, the first one counted also where it has ended; 1 where ps was asked. */
  readonly threads: number
}

/** Resolution of the figures: `ps` is asked for whole seconds. */
const TICKS_PER_SECOND = 100

/** Figures of a process by ps(1), for systems without /proc, to a second; undefined when it is gone. */
export function askPs(pid: number): ProcessFigures | undefined {
  const { stdout } = spawnSync('ps', ['-o', 'stat=,ppid=,time=,lstart=', '-p', String(pid)], {
    encoding: 'utf8',
    env: { ...process.env, LC_ALL: 'C', TZ: 'UTC' }
  })
  return parsePs(stdout ?? '')
}

/** Reads `Ss 1 0:01.50 Sat Nov 21 19:15:23 2026`, the times as BSD or procps has them. */
export function parsePs(text: string): ProcessFigures | undefined {
  const match = /^\s*(\S)\S*\s+(\d+)\s+([\d:.-]+)\s+(\w{3} \w{3} +\d+ [\d:]+ \d{4})\s*$/.exec(text)
  if (match === null) return undefined
  const [, state = '', parent = '', used = '', started = ''] = match
  const [days = '0', clock = used] = used.includes('-') ? used.split('-') : []
  const seconds = clock.split(':').reduce((sum, part) => sum * 60 + Number(part), 0)
  return {
    state,
    parent: Number(parent),
    startTicks: Date.parse(`${started} UTC`) / 1000,
    cpuTicks: Math.round((Number(days) * 86_400 + seconds) * TICKS_PER_SECOND),
    threads: 1
  }
}
