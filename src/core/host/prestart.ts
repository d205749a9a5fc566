import type { ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { refusedFlags, serviceFlags } from './service-flags.ts'
import { programPath } from './program-path.ts'
import { spawnService } from './service-process.ts'

/** A program of ours that lives on: what mounts an image, what runs a detached container. */
export type ServiceProgram = 'mounter' | 'runner'

interface ServiceFacts {
  /** First part of the name of its scope unit. */
  readonly unit: string
  readonly script: string
  readonly stdio: readonly ('pipe' | 'ignore')[]
}

const SERVICES: Readonly<Record<ServiceProgram, ServiceFacts>> = {
  mounter: {
    unit: 'dat-container-mount',
    script: programPath('mounter-main'),
    stdio: ['pipe', 'pipe', 'pipe']
  },
  runner: {
    unit: 'dat-container-run',
    script: programPath('runner-main'),
    stdio: ['pipe', 'ignore', 'ignore', 'pipe']
  }
}

const spares = new Map<ServiceProgram, ChildProcess>()

/**
 * Starts a program before it is known what for, so that it loads while this one does. It ends by itself
 * when its input ends before a request came: with this process, or by {@link endPrestarted}.
 */
export function prestart(program: ServiceProgram): void {
  const child = start(program)
  // One that could not be started is not taken; the next try says why.
  child.on('error', () => {})
  child.stdin?.on('error', () => {})
  spares.set(program, child)
}

/** The process of a service that waits for its request: the spare one, or one that starts now. */
export function startService(program: ServiceProgram, script?: string): ChildProcess {
  const spare = script === undefined ? spares.get(program) : undefined
  if (spare === undefined) return start(program, script)
  spares.delete(program)
  if (isWaiting(spare)) return spare
  // Where it ended for its flags, the next has none.
  refusedFlags(spare)
  return start(program)
}

/** Ends what was started and not needed. */
export function endPrestarted(): void {
  for (const { stdio } of spares.values()) for (const stream of stdio) stream?.destroy()
  for (const spare of spares.values()) spare.unref()
  spares.clear()
}

function start(program: ServiceProgram, script?: string): ChildProcess {
  const facts = SERVICES[program]
  const unit = `${facts.unit}-${randomBytes(4).toString('hex')}`
  return spawnService(unit, [...serviceFlags(program), script ?? facts.script], [...facts.stdio])
}

function isWaiting({ pid, exitCode, signalCode }: ChildProcess): boolean {
  return pid !== undefined && exitCode === null && signalCode === null
}
