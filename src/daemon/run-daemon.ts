import type { Logger } from 'pino'
import { Daemon } from './daemon.ts'
import { openHome } from '../home/home.ts'
import type { DaemonSettings } from '../rpc/daemon-settings.ts'
import { RELEASE } from '../rpc/release.ts'
import { watchUncaughtErrors } from './uncaught-errors.ts'

export interface RunDaemonOptions {
  readonly home: string
  readonly settings: DaemonSettings
  readonly log: Logger
  /** Where members of this process's group may come in, too. @default nowhere */
  readonly groupSocket?: string | undefined
  /** Called once the socket answers. */
  readonly onReady?: (daemon: Daemon) => void
}

/**
 * Runs a daemon in this process until it is asked to stop: by SIGINT, SIGTERM or `daemon stop`.
 *
 * @throws ContainerError `DAEMON_RUNNING`, `BUSY`, `IO`
 */
export async function runDaemon(options: RunDaemonOptions): Promise<void> {
  const paths = openHome(options.home)
  const { settings, log, groupSocket } = options
  await using daemon = await Daemon.start({ paths, settings, release: RELEASE, log, groupSocket })
  using _watch = watchUncaughtErrors(log, () => process.exit(1))
  options.onReady?.(daemon)
  await Promise.race([daemon.stopRequested, signalled()])
}

function signalled(): Promise<void> {
  return new Promise((resolve) => {
    // Not once: a second signal would end the process in the middle of its orderly end.
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => resolve())
  })
}
