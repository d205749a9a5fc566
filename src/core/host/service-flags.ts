import type { ChildProcess } from 'node:child_process'

/** From 12 on, which Node.js 22 has, V8 counts calls instead, and ends a start with `--interrupt-budget`. */
const HAS_INTERRUPT_BUDGET = Number(process.versions.v8.split('.')[0]) < 12

/** What Node.js ends with when it is given a flag that it does not know (its documentation, "Exit codes"). */
const BAD_OPTION_STATUS = 9

/** Flags of Node.js, most of them V8's, for programs of ours that stay. They save time or memory only. */
export const SERVICE_FLAGS = {
  /**
   * The young generation may grow to 12 MB instead of 48. A mounter of 200,000 files had 135 MB with this
   * and 164 without, a daemon that fetches spends a twentieth more time.
   */
  daemon: ['--max-semi-space-size=4'],
  /**
   * Somebody waits for a mounter's first second. V8 would spend a quarter of its processor time on
   * optimizing what runs for a moment, and on marking a heap that only grows; both come later so.
   */
  mounter: [
    '--max-semi-space-size=4',
    '--min-semi-space-size=4',
    '--initial-heap-size=32',
    ...(HAS_INTERRUPT_BUDGET ? ['--interrupt-budget=1000000'] : [])
  ],
  /** There is a runner for each container, and it does next to nothing once that runs. */
  runner: ['--max-semi-space-size=1', '--optimize-for-size', '--single-threaded', '--no-opt']
} as const satisfies Record<string, readonly string[]>

let areRefused = false

/** The flags to start a program with: none once this Node.js has refused some. */
export function serviceFlags(program: keyof typeof SERVICE_FLAGS): readonly string[] {
  return areRefused ? [] : SERVICE_FLAGS[program]
}

/**
 * Whether a program that has exited never began, as this Node.js does not know one of the flags that it was
 * started with. It is then to be started again: {@link serviceFlags} gives none from now on.
 */
export function refusedFlags({ exitCode, spawnargs }: ChildProcess): boolean {
  const hadFlags = Object.values(SERVICE_FLAGS).some(([flag]) => spawnargs.includes(flag))
  if (exitCode !== BAD_OPTION_STATUS || !hadFlags) return false
  areRefused = true
  return true
}
