import { createHash } from 'node:crypto'
import { mkdirSync, realpathSync } from 'node:fs'
import { homedir, userInfo } from 'node:os'
import { join, resolve } from 'node:path'
import { ContainerError, systemErrorCode } from '../image/errors.ts'

/** Where one home's state lies. Persistent state is in the home, sockets and locks in `runtime`. */
export interface HomePaths {
  readonly home: string
  /** Cleared by a reboot; unix sockets live here because their paths must be short. */
  readonly runtime: string
  readonly store: string
  readonly catalog: string
  /** What publishers remember of their sources; safe to delete. */
  readonly publishCache: string
  readonly daemonLog: string
  readonly daemonLock: string
  readonly daemonSocket: string
}

/** The home that is used when none is given: `/var/lib` as root, else the XDG data directory. */
export function defaultHome(): string {
  const fromEnvironment = process.env['DAT_CONTAINER_HOME']
  if (fromEnvironment) return resolve(fromEnvironment)
  if (process.getuid?.() === 0) return '/var/lib/dat-container'
  return join(process.env['XDG_DATA_HOME'] ?? join(homedir(), '.local/share'), 'dat-container')
}

/**
 * Paths of a home, which is created (0700) when absent, as is its runtime directory.
 *
 * @throws ContainerError `IO` when it cannot be created
 */
export function openHome(home: string): HomePaths {
  try {
    mkdirSync(home, { recursive: true, mode: 0o700 })
    const real = realpathSync(home)
    const runtime = join(
      runtimeRoot(),
      createHash('sha256').update(real).digest('hex').slice(0, 12)
    )
    mkdirSync(runtime, { recursive: true, mode: 0o700 })
    return {
      home: real,
      runtime,
      store: join(real, 'store'),
      catalog: join(real, 'images.json'),
      publishCache: join(real, 'publish-cache'),
      daemonLog: join(real, 'daemon.log'),
      daemonLock: join(real, 'daemon.lock'),
      daemonSocket: join(runtime, 'daemon.sock')
    }
  } catch (cause) {
    const reason = systemErrorCode(cause) ?? String(cause)
    throw new ContainerError('IO', `cannot use ${home} as home: ${reason}`, {
      hint: 'choose a directory that you may write to with --home or DAT_CONTAINER_HOME',
      cause
    })
  }
}

function runtimeRoot(): string {
  const override = process.env['DAT_CONTAINER_RUNTIME_DIR']
  if (override) return override
  if (process.getuid?.() === 0) return '/run/dat-container'
  return join(
    process.env['XDG_RUNTIME_DIR'] ?? `/tmp/dat-container-${userInfo().uid}`,
    'dat-container'
  )
}
