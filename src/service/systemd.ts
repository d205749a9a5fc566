import { existsSync } from 'node:fs'
import { ContainerError } from '../core/errors.ts'
import { runCommand, type CommandResult } from '../core/host/host-command.ts'
import { SERVICE } from './service-paths.ts'

/** There where systemd is PID 1 (sd_booted(3)). */
const BOOTED = '/run/systemd/system'

/** @throws ContainerError `MISSING_TOOL` where systemd is not this machine's service manager */
export function requireSystemd(): void {
  if (existsSync(BOOTED)) return
  throw new ContainerError('MISSING_TOOL', 'systemd does not manage the services of this machine', {
    hint: 'a daemon needs no service: commands start it, as does `dat-container daemon start`; or let your service manager run `dat-container daemon run`'
  })
}

/**
 * Runs `systemctl`.
 *
 * @throws ContainerError `IO` with what it said; `MISSING_TOOL`
 */
export async function systemctl(...args: readonly string[]): Promise<void> {
  const { exitCode, stderr } = await runCommand('systemctl', args)
  if (exitCode === 0) return
  throw failed(`systemctl ${args.join(' ')}`, { exitCode, stderr })
}

/**
 * Starts the service, and waits until it serves.
 *
 * @param how `start`, or `restart` of one that runs
 * @throws ContainerError `IO` with what the daemon said last
 */
export async function startService(how: 'start' | 'restart'): Promise<void> {
  try {
    await systemctl(how, SERVICE.unit)
  } catch (cause) {
    const said = await runCommand('journalctl', [
      ...['--unit', SERVICE.unit, '--identifier', SERVICE.identifier],
      ...['--output', 'cat', '--lines', '1', '--no-pager']
    ]).catch(() => undefined)
    const why = said?.stdout.trim() || String(cause)
    throw new ContainerError('IO', `the daemon did not start: ${why}`, {
      hint: `see its log: journalctl -u ${SERVICE.unit} -e`,
      cause
    })
  }
}

/** Whether the service runs, or is about to. */
export async function isServiceActive(): Promise<boolean> {
  const { stdout } = await runCommand('systemctl', ['is-active', SERVICE.unit])
  return ['active', 'activating', 'reloading'].includes(stdout.trim())
}

/** The error of a program that this one ran. */
export function failed(
  what: string,
  { exitCode, stderr }: Pick<CommandResult, 'exitCode' | 'stderr'>
): ContainerError {
  const said = stderr.trim().split('\n')[0] ?? ''
  const why = said === '' ? `it ended with ${exitCode}` : said
  return new ContainerError('IO', `${what}: ${why}`, {
    hint: `the daemon's log may say more: journalctl -u ${SERVICE.unit} -e`
  })
}
