import { spawn, type ChildProcess, type StdioOptions } from 'node:child_process'
import { constants } from 'node:os'
import type { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { REPORT_DESCRIPTOR, type Entry } from '../enter/enter-container.ts'
import { readReport, type EntryReport } from '../enter/entry-plan.ts'
import { HOST_PATH, hostProgram } from '../../core/host/package-manager.ts'
import { childrenOf, readProcFile } from '../../core/host/process-table.ts'

export interface ExecProcessOptions {
  /** Descriptors 0 to 2 of the command, or of script(1) with a terminal. */
  readonly streams: readonly ('inherit' | 'ignore' | number)[]
  /** Run it on a terminal of its own. */
  readonly terminal: boolean
  /** Whether this process leads the terminal that is to be the controlling one of script(1). */
  readonly keepsSession: boolean
  readonly onStarted: () => void
  /** Aborting sends SIGTERM to the command. */
  readonly signal: AbortSignal | undefined
}

const FORWARDED = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'] as const
const SIGNAL_EXIT_BASE = 128
const SEARCH_POLL_MS = 10

/**
 * Runs an entry's program and waits for its end. Signals that this process gets meanwhile go to the
 * command.
 *
 * @returns the command's exit code, 128 + n when signal n ended it; or why it was not started
 */
export async function runEntry(
  entry: Entry,
  options: ExecProcessOptions
): Promise<{ exitCode: number; report: EntryReport | undefined }> {
  const [file, args] = options.terminal ? onTerminal(entry.program) : [entry.program, []]
  const stdio: StdioOptions = [
    ...options.streams,
    ...entry.descriptors.map((descriptor) => (descriptor === 'report' ? 'pipe' : descriptor))
  ]
  const child = spawn(file, args, {
    stdio,
    // Variables of the image are for the command only: these programs belong to this machine.
    env: { PATH: HOST_PATH },
    cwd: '/',
    detached: !options.keepsSession
  })
  options.onStarted()
  const report: Buffer[] = []
  const pipe = child.stdio[REPORT_DESCRIPTOR] as Readable | null
  pipe?.on('data', (data: Buffer) => report.push(data))
  const endForwarding = forwardSignals(child, options.signal)
  try {
    const exitCode = await new Promise<number>((resolve, reject) => {
      child.once('error', reject)
      child.once('close', (code, killer) => {
        resolve(code ?? SIGNAL_EXIT_BASE + (killer === null ? 0 : constants.signals[killer]))
      })
    })
    return { exitCode, report: readReport(Buffer.concat(report)) }
  } finally {
    endForwarding()
  }
}

/** script(1) makes a fresh terminal, so that the container never holds the user's own. */
function onTerminal(program: string): [file: string, args: string[]] {
  const args = ['--quiet', '--flush', '--return', '--command', `exec ${program}`, '/dev/null']
  return [hostProgram('script'), args]
}

function forwardSignals(child: ChildProcess, signal: AbortSignal | undefined): () => void {
  const ended = new AbortController()
  const forward = async (name: NodeJS.Signals): Promise<void> => {
    // A signal that arrives early waits for the command.
    for (; !ended.signal.aborted; await sleep(SEARCH_POLL_MS)) {
      const pid = commandBelow(child.pid ?? 0)
      if (pid === undefined) continue
      try {
        process.kill(pid, name)
      } catch {
        // It ended meanwhile.
      }
      return
    }
  }
  const onSignal = (name: NodeJS.Signals): void => void forward(name)
  const onAbort = (): void => void forward('SIGTERM')
  for (const name of FORWARDED) process.on(name, onSignal)
  if (signal?.aborted === true) onAbort()
  else signal?.addEventListener('abort', onAbort, { once: true })
  return () => {
    ended.abort()
    for (const name of FORWARDED) process.off(name, onSignal)
    signal?.removeEventListener('abort', onAbort)
  }
}

/** The first process below that is in a PID namespace of its own: the command. */
function commandBelow(pid: number): number | undefined {
  for (const child of childrenOf(pid)) {
    const line = /^NSpid:\s+(.*)$/m.exec(readProcFile(`/proc/${child}/status`) ?? '')?.[1] ?? ''
    const found = line.split(/\s+/).length > 1 ? child : commandBelow(child)
    if (found !== undefined) return found
  }
  return undefined
}
