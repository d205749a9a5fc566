import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import type { Readable } from 'node:stream'
import { fromRecord, type ErrorRecord } from '../../core/error-record.ts'
import { ContainerError, isContainerError } from '../../core/errors.ts'
import { programPath } from '../../core/host/program-path.ts'
import type { HomePaths } from '../../home/home.ts'
import { refusedFlags, serviceFlags } from '../../core/host/service-flags.ts'
import { serviceEnvironment } from '../../core/host/service-memory.ts'

/**
 * Starts a daemon for a home in a session of its own and waits until its socket answers. A daemon that another
 * process started at the same moment will do.
 *
 * @throws ContainerError what kept the daemon from starting
 */
export async function startDaemon(paths: HomePaths): Promise<void> {
  const main = programPath('daemon-main')
  const logFile = openSync(paths.daemonLog, 'a', 0o600)
  try {
    const start = (): ChildProcess =>
      spawn(process.execPath, [...serviceFlags('daemon'), main], {
        detached: true,
        cwd: '/',
        stdio: ['ignore', logFile, logFile, 'pipe'],
        env: { ...serviceEnvironment(), DAT_CONTAINER_HOME: paths.home }
      })
    let told = await firstWords(start())
    // Its flags were refused: now it is started without.
    if (told === undefined) told = await firstWords(start())
    if (told === 'ready') return
    throw startError(told ?? '', paths)
  } catch (error) {
    if (isContainerError(error, 'DAEMON_RUNNING')) return
    throw error
  } finally {
    closeSync(logFile)
  }
}

/** @returns undefined when this Node.js does not start with the flags that it was given */
async function firstWords(daemon: ChildProcess): Promise<string | undefined> {
  const exited = once(daemon, 'exit')
  exited.catch(() => {})
  let text = ''
  for await (const part of daemon.stdio[3] as Readable) text += String(part)
  if (text === '') await exited
  daemon.unref()
  return refusedFlags(daemon) ? undefined : text
}

function startError(told: string, paths: HomePaths): ContainerError {
  try {
    return fromRecord(JSON.parse(told) as ErrorRecord)
  } catch (cause) {
    return new ContainerError('DAEMON_UNREACHABLE', 'the daemon died during its start', {
      hint: `see its log: ${paths.daemonLog}`,
      cause
    })
  }
}
