import type { Operand } from './instructions.ts'
import type { ProgramBuilder } from './program-builder.ts'

/** Why execve(2) fails, and the exit status that a shell gives then. */
const FAILURES = [
  { errno: 2, status: 127, why: 'no such file (does its interpreter exist?)' },
  { errno: 20, status: 127, why: 'no such file (a part of the path is no directory)' },
  { errno: 13, status: 126, why: 'permission denied' },
  { errno: 8, status: 126, why: 'wrong format (is it for another processor, or does it lack #!?)' },
  { errno: 7, status: 126, why: 'too many arguments' },
  { errno: 11, status: 126, why: 'the user has reached the process limit' }
] as const
const OTHER_FAILURE = { errno: 0, status: 126, why: 'the kernel refused it' } as const
const STANDARD_ERROR = 2

/**
 * Generates code that replaces the process by a command. If that fails, it writes why to standard error and exits
 * as a shell would.
 *
 * @param argv addresses of the arguments
 * @param env addresses of the variables
 */
export function execute(builder: ProgramBuilder, path: string, argv: Operand, env: Operand): void {
  const { data } = builder
  builder.try('execve', data.text(path), argv, env)
  for (const { errno } of FAILURES) builder.jumpIf('equal', -errno, `execute: ${errno}`)
  // Any other error falls through to the first.
  for (const { errno, status, why } of [OTHER_FAILURE, ...FAILURES]) {
    builder.label(`execute: ${errno}`)
    say(builder, `cannot execute ${path}: ${why}`)
    builder.end(status)
  }
}

/** Generates code that writes a line to standard error. */
export function say(builder: ProgramBuilder, text: string): void {
  const line = `dat-container: ${text}\n`
  builder.try('write', STANDARD_ERROR, builder.data.text(line), Buffer.byteLength(line))
}
