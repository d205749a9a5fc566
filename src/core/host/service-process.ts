import { spawn, type ChildProcess, type StdioOptions } from 'node:child_process'
import { existsSync } from 'node:fs'
import { serviceEnvironment } from './service-memory.ts'
import { isOnHost } from './package-manager.ts'

/** Whether systemd is the host's PID 1, as sd_booted(3) finds out. */
export function isSystemdHost(): boolean {
  return existsSync('/run/systemd/system') && isOnHost('systemd-run')
}

/**
 * Puts a command in a scope unit of its own where systemd runs the host, so that it is no part of
 * the session or service that started it and does not die with that. Elsewhere: the command itself.
 */
export function inOwnScope(
  unit: string,
  command: readonly string[],
  options: { systemd: boolean; delegate?: boolean; slice?: string; properties?: readonly string[] }
): string[] {
  if (!options.systemd) return [...command]
  return [
    'systemd-run',
    '--scope',
    '--quiet',
    '--collect',
    `--unit=${unit}`,
    `--description=${unit}`,
    ...(options.slice === undefined ? [] : [`--slice=${options.slice}`]),
    ...(options.delegate === true ? ['--property=Delegate=yes'] : []),
    ...(options.properties ?? []).map((property) => `--property=${property}`),
    '--',
    ...command
  ]
}

/** Four for work, as libuv has them, and two that may wait for descriptors (`DescriptorEvents`) all the time. */
const THREADS = '6'

/** Starts a Node.js program of ours that outlives this process, in a session of its own. */
export function spawnService(
  unit: string,
  program: readonly [...nodeArguments: string[], script: string],
  stdio: StdioOptions
): ChildProcess {
  const command = inOwnScope(unit, [process.execPath, ...program], {
    systemd: isSystemdHost()
  })
  const [file = process.execPath, ...args] = command
  const env = { UV_THREADPOOL_SIZE: THREADS, ...serviceEnvironment() }
  return spawn(file, args, { detached: true, stdio, cwd: '/', env })
}
