import { spawn, type StdioOptions } from 'node:child_process'
import { constants } from 'node:os'
import { missingTool, runCommand, type CommandResult } from '../../core/host/host-command.ts'
import { quoteForShell } from '../../core/host/shell-quote.ts'
import { systemErrorCode } from '../../core/errors.ts'
import { hostEnvironment } from '../../core/host/host-environment.ts'
import type { MachineHome, MachinePaths } from '../state/machine-paths.ts'
import { LOOPBACK } from '../state/port-forward.ts'

/** Emulated and busy, a guest takes more than ten seconds to say its first word. */
const CONNECT_TIMEOUT_SECONDS = 30

/** How a machine is reached. */
export interface SshTarget {
  readonly name: string
  readonly port: number
  /** Path of the private key. */
  readonly key: string
  /** Path of the file that remembers the machine's own key. */
  readonly knownHosts: string
}

/**
 * Describes how ssh reaches a machine of a home.
 *
 * @param port of this machine that leads to the guest's ssh
 */
export function sshTarget(home: MachineHome, paths: MachinePaths, port: number): SshTarget {
  return { name: paths.name, port, key: home.sshKey, knownHosts: paths.knownHosts }
}

export interface SshPlan extends SshTarget {
  /** Run by the guest's shell as it is; a login shell when undefined. */
  readonly command?: string
  /** `auto`: where there is no command, and this process has one. @default 'auto' */
  readonly tty?: 'auto' | 'always' | 'never'
  /** Give the guest's command no input. */
  readonly noInput?: boolean
  readonly connectTimeoutSeconds?: number
  /** Gets SIGINT and SIGTERM, which ssh then does not. */
  readonly onSignal?: (signal: NodeJS.Signals) => void
}

/**
 * Plans the arguments of ssh(1). Nothing of the user's own configuration, keys or known hosts is used. The host
 * key is stored under the machine's name, because ports change; the first key seen is kept.
 */
export function planSsh(plan: SshPlan): string[] {
  const { tty = 'auto', connectTimeoutSeconds = CONNECT_TIMEOUT_SECONDS } = plan
  const options = [
    `IdentityFile=${quoted(plan.key)}`,
    'IdentitiesOnly=yes',
    'IdentityAgent=none',
    `UserKnownHostsFile=${quoted(plan.knownHosts)}`,
    `HostKeyAlias=${plan.name}.machine.dat-container`,
    'StrictHostKeyChecking=accept-new',
    'CheckHostIP=no',
    'BatchMode=yes',
    'LogLevel=ERROR',
    `ConnectTimeout=${connectTimeoutSeconds}`,
    'ServerAliveInterval=30'
  ]
  return [
    '-F',
    'none',
    ...options.flatMap((option) => ['-o', option]),
    ...(tty === 'always' ? ['-tt'] : tty === 'never' ? ['-T'] : []),
    ...(plan.noInput === true ? ['-n'] : []),
    '-p',
    String(plan.port),
    `root@${LOOPBACK}`,
    ...(plan.command === undefined ? [] : ['--', plan.command])
  ]
}

/** Quotes the arguments of a command as one line for the guest's shell. */
export function quoteCommand(argv: readonly string[]): string {
  return argv.map(quoteForShell).join(' ')
}

/**
 * Runs ssh with this process's streams.
 *
 * @returns what the command in the guest exits with; 255 when there was no connection, as ssh has it
 * @throws ContainerError `MISSING_TOOL`
 */
export async function runSsh(plan: SshPlan, stdio: StdioOptions = 'inherit'): Promise<number> {
  const { onSignal } = plan
  // In a session of its own, no terminal's Ctrl-C reaches it.
  const child = spawn('ssh', planSsh(plan), {
    ...{ stdio, detached: onSignal !== undefined, env: hostEnvironment() }
  })
  // A terminal sends Ctrl-C to both: what it means is for the guest to say.
  const ignore = onSignal ?? ((): void => {})
  const forward = onSignal ?? ((signal: NodeJS.Signals): void => void child.kill(signal))
  process.on('SIGINT', ignore)
  process.on('SIGTERM', forward)
  try {
    return await new Promise<number>((resolve, reject) => {
      child.once('error', reject)
      child.once('exit', (code, signal) =>
        resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal]))
      )
    })
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') throw await missingTool('ssh')
    throw error
  } finally {
    process.off('SIGINT', ignore)
    process.off('SIGTERM', forward)
  }
}

/**
 * Runs a command in the guest and captures what it prints.
 *
 * @throws ContainerError `MISSING_TOOL`, `CANCELLED`
 */
export async function captureSsh(
  target: SshTarget,
  command: string,
  options: { timeoutMs: number; input?: string; signal?: AbortSignal | undefined }
): Promise<CommandResult> {
  const { timeoutMs, input, signal } = options
  const noInput = input === undefined
  // A slow guest takes long to say its first word; it has all of that time for it.
  const connectTimeoutSeconds = Math.ceil(timeoutMs / 1000)
  const plan = { ...target, command, tty: 'never', noInput, connectTimeoutSeconds } as const
  return runCommand('ssh', planSsh(plan), {
    timeoutMs,
    ...(noInput ? {} : { input }),
    ...(signal === undefined ? {} : { signal })
  })
}

/** A path as ssh_config(5) reads it, where `%` begins a token. */
function quoted(path: string): string {
  return `"${path.replaceAll('%', '%%').replace(/["\\]/g, '\\$&')}"`
}
