import type { ChildProcess, StdioOptions } from 'node:child_process'
import { isatty } from 'node:tty'
import { isNull, nullInput, nullOutput } from './null-streams.ts'
import type { NspawnOptions } from './nspawn-plan.ts'

/** How a container is joined to the streams of this process, or to a log. */
export interface ConsoleStdio {
  readonly console: NspawnOptions['console']
  readonly stdio: StdioOptions
  /** Joins the child to streams that are not simply inherited. @returns lets go of them */
  attach(child: ChildProcess): () => void
}

/** Nothing to join. */
const DETACHED = (): (() => void) => () => {}

/** Output to an open log file, no input. */
export function logStdio(mode: 'boot' | 'process', logDescriptor: number): ConsoleStdio {
  const output = [logDescriptor, logDescriptor]
  // The console of a boot is a terminal of nspawn's.
  if (mode === 'boot') {
    return { console: 'read-only', stdio: ['ignore', ...output], attach: DETACHED }
  }
  const input = nullInput()
  return {
    console: 'pipe',
    stdio: [input.descriptor, ...output],
    attach() {
      input.started()
      return () => {}
    }
  }
}

/** The boot console on standard output, no input. */
export function bootStdio(): ConsoleStdio {
  return { console: 'read-only', stdio: ['ignore', 'inherit', 'inherit'], attach: DETACHED }
}

/**
 * The streams of this process for one command: a terminal when there is one at both ends, else the
 * three streams, byte for byte. A terminal that is one of the three is never handed to the container
 * itself, which could type into it (TIOCSTI): bytes are copied through pipes instead.
 */
export function commandStdio(): ConsoleStdio {
  if (isatty(0) && isatty(1)) {
    return { console: 'interactive', stdio: 'inherit', attach: forwardResize }
  }
  const [input, output, error] = [0, 1, 2].map((descriptor) => isatty(descriptor))
  const nulls = [0, 1, 2].map((descriptor) => {
    if (!isNull(descriptor)) return undefined
    return descriptor === 0 ? nullInput() : nullOutput()
  })
  return {
    console: 'pipe',
    stdio: [input, output, error].map((terminal, descriptor) =>
      terminal === true ? 'pipe' : (nulls[descriptor]?.descriptor ?? 'inherit')
    ),
    attach(child) {
      for (const stream of nulls) stream?.started()
      child.stdout?.pipe(process.stdout, { end: false })
      child.stderr?.pipe(process.stderr, { end: false })
      if (child.stdin === null) return () => {}
      child.stdin.on('error', () => {})
      process.stdin.pipe(child.stdin)
      return () => {
        process.stdin.unpipe()
        process.stdin.pause()
      }
    }
  }
}

/** nspawn has a session of its own, so the kernel does not tell it that the window has changed. */
function forwardResize(child: ChildProcess): () => void {
  const resize = (): void => void child.kill('SIGWINCH')
  process.on('SIGWINCH', resize)
  return () => void process.off('SIGWINCH', resize)
}
