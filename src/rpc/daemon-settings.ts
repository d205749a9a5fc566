import { formatPeerAddress } from '../p2p/peer-address.ts'
import { ALLOW_VARIABLE } from './allowed-peers.ts'
import { BOOTSTRAP_VARIABLE, formatBootstrap, parseBootstrap } from './bootstrap.ts'
import {
  daemonLimitsOf,
  MAX_DISK_VARIABLE,
  MAX_DOWN_VARIABLE,
  MAX_UP_VARIABLE,
  type DaemonLimits
} from './daemon-limits.ts'
import {
  ADVERTISE_VARIABLE,
  EXCHANGE_VARIABLE,
  LAN_VARIABLE,
  LISTEN_VARIABLE,
  NAT_VARIABLE,
  RELAY_VARIABLE,
  listeningOf,
  type Listening
} from './listening.ts'
import {
  formatMetricsAddress,
  METRICS_VARIABLE,
  parseMetricsAddress,
  type MetricsAddress
} from './metrics-address.ts'
import { formatUiAddress, parseUiAddress, UI_VARIABLE, type UiAddress } from './ui-address.ts'

export const LOG_LEVEL_VARIABLE = 'DAT_CONTAINER_LOG_LEVEL'
const USUAL_LOG_LEVEL = 'info'

/** Environment variables that a daemon reads, by their keys in configuration files. */
const VARIABLES = {
  bootstrap: BOOTSTRAP_VARIABLE,
  listen: LISTEN_VARIABLE,
  advertise: ADVERTISE_VARIABLE,
  lan: LAN_VARIABLE,
  nat: NAT_VARIABLE,
  relay: RELAY_VARIABLE,
  allow: ALLOW_VARIABLE,
  'peer-exchange': EXCHANGE_VARIABLE,
  'max-disk': MAX_DISK_VARIABLE,
  'max-up': MAX_UP_VARIABLE,
  'max-down': MAX_DOWN_VARIABLE,
  metrics: METRICS_VARIABLE,
  ui: UI_VARIABLE,
  'log-level': LOG_LEVEL_VARIABLE
} as const

export type DaemonKey = keyof typeof VARIABLES

/** Those that a daemon changes only by starting again: its peers would lose it. */
const FIXED: ReadonlySet<string> = new Set([
  'bootstrap',
  'listen',
  'advertise',
  'lan',
  'nat',
  'relay',
  'metrics'
])

/** How a daemon is to run. */
export interface DaemonSettings {
  /** `host:port` of a private DHT's nodes; undefined for the public one. */
  readonly bootstrap: readonly string[] | undefined
  readonly listening: Listening
  readonly limits: DaemonLimits
  /** Where metrics are served; undefined for nowhere. */
  readonly metrics: MetricsAddress | undefined
  /** Where the page is served; undefined for nowhere. */
  readonly ui: UiAddress | undefined
  readonly logLevel: string
}

/** A setting that was another before. Bytes as numbers, none as null. */
export interface ChangedSetting {
  readonly key: DaemonKey
  readonly before: string | number | null
  readonly now: string | number | null
}

/** Reads what the environment says. @throws ContainerError `USAGE` */
export function daemonSettingsOf(environment: NodeJS.ProcessEnv): DaemonSettings {
  return {
    bootstrap: parseBootstrap(environment[BOOTSTRAP_VARIABLE]),
    listening: listeningOf(environment),
    limits: daemonLimitsOf(environment),
    metrics: parseMetricsAddress(environment[METRICS_VARIABLE]),
    ui: parseUiAddress(environment[UI_VARIABLE]),
    logLevel: environment[LOG_LEVEL_VARIABLE] || USUAL_LOG_LEVEL
  }
}

/** The part of an environment that a daemon reads. */
export function daemonVariables(environment: NodeJS.ProcessEnv): Record<string, string> {
  const entries = Object.values(VARIABLES).map((name) => [name, environment[name]] as const)
  return Object.fromEntries(entries.flatMap(([name, value]) => (value ? [[name, value]] : [])))
}

/**
 * Compares two settings of a daemon.
 *
 * @returns what differs: `live` can be changed while it runs, `fixed` only by another start
 */
export function changedSettings(
  before: DaemonSettings,
  now: DaemonSettings
): { readonly live: readonly ChangedSetting[]; readonly fixed: readonly ChangedSetting[] } {
  const [old, next] = [valuesOf(before), valuesOf(now)]
  const changed = (Object.keys(VARIABLES) as DaemonKey[])
    .filter((key) => old[key] !== next[key])
    .map((key): ChangedSetting => ({ key, before: old[key], now: next[key] }))
  return {
    live: changed.filter(({ key }) => !FIXED.has(key)),
    fixed: changed.filter(({ key }) => FIXED.has(key))
  }
}

function valuesOf(settings: DaemonSettings): Record<DaemonKey, string | number | null> {
  const { bootstrap, listening, limits, metrics, ui, logLevel } = settings
  const { listen, advertise, exchanges, allowed, lan, nat, relays } = listening
  return {
    bootstrap: bootstrap ? formatBootstrap(bootstrap) : null,
    listen: listen === 'known' ? null : listen ? formatPeerAddress(listen) : 'none',
    advertise: advertise ? formatPeerAddress(advertise) : null,
    lan: lan === false ? 'no' : 'yes',
    nat: nat ?? null,
    relay: relays?.length ? relays.map((key) => key.toString('hex')).join(',') : null,
    allow: allowed ? [...allowed].sort().join(',') : null,
    'peer-exchange': exchanges ? 'yes' : 'no',
    'max-disk': limits.maxDiskBytes ?? null,
    'max-up': limits.maxUp ?? null,
    'max-down': limits.maxDown ?? null,
    metrics: metrics ? formatMetricsAddress(metrics) : null,
    ui: ui ? formatUiAddress(ui) : null,
    'log-level': logLevel
  }
}
