import { readFileSync, statSync, type Stats } from 'node:fs'
import { homedir } from 'node:os'
import { isAbsolute, join } from 'node:path'
import { ContainerError, systemErrorCode } from '../../core/errors.ts'

const NAME = 'dat-container.conf'
/** Names the one file to read instead; empty: none. */
const FILE_VARIABLE = 'DAT_CONTAINER_CONFIG'
const WRITABLE_BY_OTHERS = 0o022

/** The environment variable by which each key reaches all processes. */
export const CONFIG_KEYS = {
  home: 'DAT_CONTAINER_HOME',
  socket: 'DAT_CONTAINER_SOCKET',
  bootstrap: 'DAT_CONTAINER_BOOTSTRAP',
  listen: 'DAT_CONTAINER_LISTEN',
  advertise: 'DAT_CONTAINER_ADVERTISE',
  lan: 'DAT_CONTAINER_LAN',
  nat: 'DAT_CONTAINER_NAT',
  relay: 'DAT_CONTAINER_RELAY',
  allow: 'DAT_CONTAINER_ALLOW',
  'peer-exchange': 'DAT_CONTAINER_PEER_EXCHANGE',
  'peer-timeout': 'DAT_CONTAINER_PEER_TIMEOUT',
  'max-disk': 'DAT_CONTAINER_MAX_DISK',
  'max-up': 'DAT_CONTAINER_MAX_UP',
  'max-down': 'DAT_CONTAINER_MAX_DOWN',
  metrics: 'DAT_CONTAINER_METRICS',
  ui: 'DAT_CONTAINER_UI',
  'log-level': 'DAT_CONTAINER_LOG_LEVEL',
  vm: 'DAT_CONTAINER_VM',
  'machine-memory': 'DAT_CONTAINER_MACHINE_MEMORY',
  'machine-cpus': 'DAT_CONTAINER_MACHINE_CPUS',
  'machine-disk': 'DAT_CONTAINER_MACHINE_DISK'
} as const

export type ConfigKey = keyof typeof CONFIG_KEYS

/** Keys whose values are paths of this machine. */
const PATHS: ReadonlySet<ConfigKey> = new Set(['home', 'socket'])

/** A line of a configuration file. */
export interface Setting {
  readonly key: ConfigKey
  readonly value: string
  /** `FILE:LINE`. */
  readonly place: string
}

/** What {@link applyConfig} took, or why it took nothing. */
export interface Config {
  /** Those that neither the environment nor another file takes the place of. */
  readonly settings: readonly Setting[]
  readonly error: unknown
}

/**
 * Reads the configuration of this machine and of this user, whose settings go before, and puts what they say where
 * the environment says nothing. Options of the command line go before both.
 *
 * @param environment is changed
 * @param systemFile the machine's file
 */
export function applyConfig(environment: NodeJS.ProcessEnv, systemFile = `/etc/${NAME}`): Config {
  const only = environment[FILE_VARIABLE]
  const files = only === undefined ? [userFile(environment), systemFile] : [only]
  try {
    const settings: Setting[] = []
    for (const file of files.filter((path) => path !== '')) {
      for (const setting of readSettings(file, { required: only !== undefined })) {
        const variable = CONFIG_KEYS[setting.key]
        if (environment[variable] !== undefined) continue
        environment[variable] = setting.value
        settings.push(setting)
      }
    }
    return { settings, error: undefined }
  } catch (error) {
    return { settings: [], error }
  }
}

function userFile(environment: NodeJS.ProcessEnv): string {
  return join(environment['XDG_CONFIG_HOME'] || join(homedir(), '.config'), NAME)
}

function readSettings(file: string, { required }: { required: boolean }): Setting[] {
  try {
    checkTrusted(file, statSync(file))
    return parseSettings(readFileSync(file, 'utf8'), file)
  } catch (cause) {
    if (cause instanceof ContainerError) throw cause
    const code = systemErrorCode(cause)
    // sudo may leave HOME as it was: what cannot even be looked for there is none of this user's.
    const isElsewhere = code === 'EACCES' && (cause as NodeJS.ErrnoException).syscall === 'stat'
    const isAbsent = code === 'ENOENT' || code === 'ENOTDIR' || isElsewhere
    if (isAbsent && !required) return []
    throw new ContainerError('IO', `cannot read ${file}: ${code ?? String(cause)}`, {
      hint: `make it readable, or set ${FILE_VARIABLE} to another file or to nothing`,
      cause
    })
  }
}

/** It says where links are kept and whom a daemon talks to. */
function checkTrusted(file: string, { uid, mode }: Stats): void {
  const own = process.geteuid?.()
  if (own === undefined) return
  const isTheirs = uid !== 0 && uid !== own
  if (!isTheirs && (mode & WRITABLE_BY_OTHERS) === 0) return
  const reason = isTheirs ? `it belongs to user ${uid}` : 'others may write to it'
  throw new ContainerError('IO', `${file} is not safe to use: ${reason}`, {
    hint: 'make it yours (chown), and writable by you alone (chmod 644)'
  })
}

/**
 * Reads `key = value` lines; `#` at the beginning of a line makes a comment.
 *
 * @param file only for messages
 * @throws ContainerError `USAGE`
 */
export function parseSettings(text: string, file: string): Setting[] {
  const settings: Setting[] = []
  for (const [n, line] of text.split('\n').entries()) {
    const place = `${file}:${n + 1}`
    const trimmed = line.trim()
    if (trimmed === '' || trimmed.startsWith('#')) continue
    const [, key = '', value = ''] = /^([^\s=]+)\s*=\s*(.*)$/.exec(trimmed) ?? []
    if (key === '') {
      throw usage(`${place} is not a setting: ${JSON.stringify(trimmed)}`, 'write KEY = VALUE')
    }
    if (!isKey(key)) {
      throw usage(`${place} has no known key: ${JSON.stringify(key)}`, `known are ${knownKeys()}`)
    }
    if (settings.some((before) => before.key === key)) {
      throw usage(`${place} sets ${key} a second time`, 'leave one of them')
    }
    if (value === '') throw usage(`${place} sets ${key} to nothing`, 'leave the line out')
    settings.push({ key, value: PATHS.has(key) ? absolute(value, place) : value, place })
  }
  return settings
}

function absolute(path: string, place: string): string {
  const full = path.startsWith('~/') ? join(homedir(), path.slice(2)) : path
  if (isAbsolute(full)) return full
  throw usage(`${place} has no absolute path: ${path}`, 'write it from / on, or from ~/ on')
}

function isKey(text: string): text is ConfigKey {
  return Object.hasOwn(CONFIG_KEYS, text)
}

function knownKeys(): string {
  return Object.keys(CONFIG_KEYS).join(', ')
}

function usage(message: string, hint: string): ContainerError {
  return new ContainerError('USAGE', message, { hint })
}
