import type { Options } from 'execa'
import { ContainerError } from '../errors.ts'
import { hostEnvironment } from './host-environment.ts'
import { HOST_PATH, installCommand } from './package-manager.ts'

export interface CommandResult {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}

/**
 * Runs a host program to its end and captures its output. The program gets the environment that
 * `hostEnvironment` passes on.
 *
 * @param options.input what it reads from standard input @default nothing
 * @param options.timeoutMs after which it is killed; the exit code is then 124, as timeout(1) has it
 * @throws ContainerError `MISSING_TOOL`, `CANCELLED`
 */
export async function runCommand(
  file: string,
  args: readonly string[],
  options: {
    timeoutMs?: number
    signal?: AbortSignal
    cwd?: string
    input?: string
    onStart?: (pid: number) => void
  } = {}
): Promise<CommandResult> {
  // Loaded with the first command: a container's start need not wait for it.
  const { execa } = await import('execa')
  const settings: Options = {
    reject: false,
    extendEnv: false,
    env: { ...hostEnvironment(), PATH: HOST_PATH, LC_ALL: 'C' },
    ...(options.input === undefined ? { stdin: 'ignore' } : { input: options.input }),
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.timeoutMs === undefined ? {} : { timeout: options.timeoutMs }),
    ...(options.signal === undefined ? {} : { cancelSignal: options.signal }),
    forceKillAfterDelay: 1000
  }
  const running = execa(file, args, settings)
  if (running.pid !== undefined) options.onStart?.(running.pid)
  const result = await running
  if (result.code === 'ENOENT') throw await missingTool(file)
  if (result.isCanceled) throw new ContainerError('CANCELLED', `${file} was cancelled`)
  return {
    exitCode: result.timedOut ? 124 : (result.exitCode ?? 128),
    stdout: String(result.stdout ?? ''),
    stderr: String(result.stderr ?? '')
  }
}

/** The error for a program that is not installed, with the command that installs it. */
export async function missingTool(file: string): Promise<ContainerError> {
  return new ContainerError('MISSING_TOOL', `${file} is not installed`, {
    hint: `install it: ${installCommand(file)}`
  })
}
