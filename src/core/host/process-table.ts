import { readFileSync, readlinkSync } from 'node:fs'
import { basename } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { systemErrorCode } from '../errors.ts'
import { askPs, type ProcessFigures } from './process-figures.ts'
import * as v from 'valibot'
import type { Shape } from '../record-format.ts'

/** Names one process for ever: ids are reused, an id with its start time is not. */
export interface ProcessIdentity {
  readonly pid: number
  /** Field 22 of /proc/PID/stat: clock ticks since boot; where there is none, seconds since 1970. */
  readonly startTicks: number
}

/** The shape of a {@link ProcessIdentity} in a file. */
export const processIdentity: Shape<ProcessIdentity> = v.looseObject({
  pid: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
  startTicks: v.number()
})

/** Field numbers of proc_pid_stat(5) that are used here; the first two are stripped. */
const FIELD = {
  state: 3,
  parent: 4,
  userTicks: 14,
  systemTicks: 15,
  threads: 20,
  startTicks: 22
} as const
/** States of a process whose first thread has ended. */
const ENDED: ReadonlySet<string> = new Set(['Z', 'X'])
const POLL_MS = 20

/** What /proc/PID/stat says, or ps(1) where there is none; undefined when there is no such process. */
export function readProcess(pid: number): ProcessFigures | undefined {
  if (process.platform !== 'linux') return askPs(pid)
  const text = readProcFile(`/proc/${pid}/stat`)
  if (text === undefined) return undefined
  // The command's name is in parentheses and may hold spaces and parentheses itself.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const field = (number: number): string => fields[number - 3] ?? ''
  return {
    state: field(FIELD.state),
    parent: Number(field(FIELD.parent)),
    startTicks: Number(field(FIELD.startTicks)),
    cpuTicks: Number(field(FIELD.userTicks)) + Number(field(FIELD.systemTicks)),
    threads: Number(field(FIELD.threads))
  }
}

/** The identity of a living process, or undefined. */
export function identify(pid: number): ProcessIdentity | undefined {
  const figures = readProcess(pid)
  return figures === undefined ? undefined : { pid, startTicks: figures.startTicks }
}

/**
 * Whether this very process is there and holds anything. A zombie holds nothing, once its last thread
 * has ended: until then files and mounts are in use.
 */
export function isAlive(identity: ProcessIdentity | undefined): identity is ProcessIdentity {
  if (identity === undefined) return false
  const figures = readProcess(identity.pid)
  return (
    figures !== undefined &&
    figures.startTicks === identity.startTicks &&
    (!ENDED.has(figures.state) || figures.threads > 1)
  )
}

/** File name of the program that a process runs; '' when it is gone. */
export function executableOf({ pid }: ProcessIdentity): string {
  try {
    return basename(readlinkSync(`/proc/${pid}/exe`))
  } catch (error) {
    if (['ENOENT', 'ESRCH', 'EACCES'].includes(systemErrorCode(error) ?? '')) return ''
    throw error
  }
}

/** Sends a signal to this very process. @returns whether it was there to get it */
export function signalProcess(
  identity: ProcessIdentity | undefined,
  signal: NodeJS.Signals | number
): boolean {
  if (!isAlive(identity)) return false
  try {
    process.kill(identity.pid, signal)
    return true
  } catch (error) {
    if (systemErrorCode(error) === 'ESRCH') return false
    throw error
  }
}

/** @returns whether the process was gone within `timeoutMs` */
export async function waitForExit(
  identity: ProcessIdentity | undefined,
  timeoutMs: number
): Promise<boolean> {
  const deadline = performance.now() + timeoutMs
  while (isAlive(identity)) {
    if (performance.now() >= deadline) return false
    await sleep(POLL_MS)
  }
  return true
}

/** Direct children of every thread of `pid`'s main task. */
export function childrenOf(pid: number): number[] {
  const text = readProcFile(`/proc/${pid}/task/${pid}/children`) ?? ''
  return text.split(' ').filter(Boolean).map(Number)
}

/** The process id that `pid` has in its own PID namespace, or undefined when it is gone. */
export function innermostPid(pid: number): number | undefined {
  const line = /^NSpid:\s+(.*)$/m.exec(readProcFile(`/proc/${pid}/status`) ?? '')?.[1]
  const last = line?.split(/\s+/).at(-1)
  return last === undefined ? undefined : Number(last)
}

/** A file of /proc, or undefined when its process is gone. */
export function readProcFile(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    const code = systemErrorCode(error)
    if (code === 'ENOENT' || code === 'ESRCH') return undefined
    throw error
  }
}
