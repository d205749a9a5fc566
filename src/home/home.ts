import { createHash } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { ContainerError, isContainerError, systemErrorCode } from '../core/errors.ts'
import { isPrivateDirectory, privateDirectory } from '../core/private-directory.ts'

/** Where one home's state lies. Persistent state is in the home, sockets and locks in `runtime`. */
export interface HomePaths {
  readonly home: string
  /** Cleared by a reboot; unix sockets live here because their paths must be short. */
  readonly runtime: string
  readonly store: string
  /** What is noted of the store, outside of it; with its seed. */
  readonly storeRecord: string
  readonly catalog: string
  /** The channels that this home knows; holds secrets. */
  readonly channels: string
  /** What peers know this home by; holds a secret. */
  readonly swarmIdentity: string
  /** What peers know a relay of this home by; holds a secret. */
  readonly relayIdentity: string
  /** Where peers of images were reached; safe to delete. */
  readonly peers: string
  /** What images sent, received, and when they were used; safe to delete. */
  readonly imageUsage: string
  /** How containers started; safe to delete. */
  readonly starts: string
  /** What publishers remember of their sources; safe to delete. */
  readonly publishCache: string
  readonly daemonLog: string
  readonly daemonLock: string
  readonly daemonSocket: string
  /** The socket of another user's daemon that this user's commands use; undefined for the home's own daemon. */
  readonly groupSocket: string | undefined
}

/** Environment variable that names the socket of a daemon to use instead of the home's own. */
export const SOCKET_VARIABLE = 'DAT_CONTAINER_SOCKET'

/** The home that is used when none is given: `/var/lib` as root, else the XDG data directory; on Windows the user's local data. */
export function defaultHome(): string {
  const fromEnvironment = process.env['DAT_CONTAINER_HOME']
  if (fromEnvironment) return resolve(fromEnvironment)
  if (process.getuid?.() === 0) return '/var/lib/dat-container'
  if (process.platform === 'win32') {
    return join(process.env['LOCALAPPDATA'] ?? join(homedir(), 'AppData', 'Local'), 'dat-container')
  }
  return join(process.env['XDG_DATA_HOME'] ?? join(homedir(), '.local/share'), 'dat-container')
}

/**
 * Paths of a home, which is created (0700) when absent, as is its runtime directory. Both are checked
 * to be this user's alone.
 *
 * @throws ContainerError `IO` when one of them cannot be created, or others could read or replace it
 */
export function openHome(home: string): HomePaths {
  try {
    const real = privateDirectory(home, {
      tighten: isHome,
      hint: 'make it accessible only to you (chown, chmod 700), or choose another one with --home or DAT_CONTAINER_HOME'
    })
    const id = createHash('sha256').update(real).digest('hex').slice(0, 12)
    const runtime = privateDirectory(join(runtimeRoot(), id))
    return {
      home: real,
      runtime,
      store: join(real, 'store'),
      storeRecord: join(real, 'store.json'),
      catalog: join(real, 'images.json'),
      channels: join(real, 'channels.json'),
      swarmIdentity: join(real, 'swarm-identity.json'),
      relayIdentity: join(real, 'relay-identity.json'),
      peers: join(real, 'peers'),
      imageUsage: join(real, 'image-usage.json'),
      starts: join(real, 'starts.json'),
      publishCache: join(real, 'publish-cache'),
      daemonLog: join(real, 'daemon.log'),
      daemonLock: join(real, 'daemon.lock'),
      daemonSocket: socketPath(runtime, id),
      groupSocket: process.env[SOCKET_VARIABLE] || undefined
    }
  } catch (cause) {
    if (isContainerError(cause)) throw cause
    const reason = systemErrorCode(cause) ?? String(cause)
    throw new ContainerError('IO', `cannot use ${home} as home: ${reason}`, {
      hint: 'with --home or DAT_CONTAINER_HOME, choose a directory that you may write to',
      cause
    })
  }
}

/** Windows has its sockets for processes of one machine in a place of their own. */
function socketPath(runtime: string, id: string): string {
  if (process.platform === 'win32') return `\\\\.\\pipe\\dat-container-${id}`
  return join(runtime, 'daemon.sock')
}

/** What is empty, or was a home before, is one; modes of other directories are not for us to change. */
function isHome(path: string): boolean {
  const names = readdirSync(path).filter((name) => name !== 'lost+found')
  return names.length === 0 || names.includes('daemon.lock') || names.includes('containers')
}

/** The directory above the runtime directories of all homes of this user. */
function runtimeRoot(): string {
  const hint =
    'others could read links there: make it accessible only to you (chown, chmod 700), or set DAT_CONTAINER_RUNTIME_DIR to a directory that is'
  const override = process.env['DAT_CONTAINER_RUNTIME_DIR']
  if (override) return privateDirectory(override, { hint })
  if (process.platform === 'win32') {
    return privateDirectory(join(tmpdir(), 'dat-container'), { hint })
  }
  const uid = process.getuid?.() ?? 0
  if (uid === 0) return privateDirectory('/run/dat-container', { hint })
  const session = [process.env['XDG_RUNTIME_DIR'], `/run/user/${uid}`].find(
    (path) => path !== undefined && isPrivateDirectory(path)
  )
  const above = session ?? privateDirectory(`/tmp/dat-container-${uid}`, { hint })
  return privateDirectory(join(above, 'dat-container'), { hint })
}
