import type { Command } from 'commander'
import { CONFIG_KEYS, type ConfigKey } from '../../parse/config-file.ts'
import { parseAllow } from '../../../rpc/allowed-peers.ts'
import { parseMaxDisk, parseRate } from '../../../rpc/daemon-limits.ts'
import { parseListening } from '../../../rpc/listening.ts'
import { parseMetricsAddress } from '../../../rpc/metrics-address.ts'
import { ANY_PORT, parseUiAddress } from '../../../rpc/ui-address.ts'

/** Options of a daemon; each is a key of the configuration, too. */
export interface ListenFlags {
  readonly listen?: string
  readonly advertise?: string
  readonly maxDisk?: string
  readonly maxUp?: string
  readonly maxDown?: string
  readonly allow?: string
  readonly metrics?: string
  readonly ui?: string | true
}

/** Adds the options of {@link ListenFlags}. */
export function withListening(command: Command): Command {
  return command
    .option(
      '--listen <[host:]port|none>',
      'let peers connect here by TCP without the DHT; none: only UDP (default: any port, for peers of the DHT)'
    )
    .option(
      '--advertise <host:port>',
      'TCP address to put into links (default: the host of --listen)'
    )
    .option(
      '--max-disk <size|none>',
      'disk that the store may take, such as 50G; what nothing needs is evicted (default: no limit)'
    )
    .option(
      '--max-up <bytes|none>',
      'bytes a second to send to all peers together, such as 2M or 500k (default: no limit)'
    )
    .option(
      '--max-down <bytes|none>',
      'bytes a second to fetch from all peers together (default: no limit)'
    )
    .option(
      '--allow <key,…>',
      'connect only with homes that have these public keys (see `identity`; default: with all)'
    )
    .option(
      '--metrics <[host:]port|path>',
      'serve metrics for Prometheus by HTTP at this port of loopback, address or unix socket (default: nowhere)'
    )
    .option(
      '--ui [[host:]port|any|none]',
      'serve a page for browsers of this machine at this port of loopback, or at a free one; see `daemon ui` (default: none)'
    )
}

/** What these options say, by keys of the configuration. */
export function settingsIn(flags: ListenFlags): Partial<Record<ConfigKey, string>> {
  const { listen, advertise, allow, maxDisk, maxUp, maxDown, metrics, ui } = flags
  const said: Partial<Record<ConfigKey, string | undefined>> = {
    listen,
    advertise,
    allow,
    'max-disk': maxDisk,
    'max-up': maxUp,
    'max-down': maxDown,
    metrics,
    ui: ui === true ? ANY_PORT : ui
  }
  return Object.fromEntries(Object.entries(said).filter(([, value]) => value !== undefined))
}

/**
 * Checks these options and puts them into the environment, as a daemon in the background gets all it is told.
 *
 * @throws ContainerError `USAGE`
 */
export function setListening(flags: ListenFlags): void {
  const { listen, advertise, allow, maxDisk, maxUp, maxDown, metrics } = flags
  const settings = settingsIn(flags)
  parseUiAddress(settings.ui)
  parseMetricsAddress(metrics)
  parseListening(listen, advertise)
  parseMaxDisk(maxDisk)
  for (const rate of [maxUp, maxDown]) parseRate(rate)
  // An empty list is no list of nobody by mistake: in a script it is a variable that is not set.
  parseAllow(allow === '' ? ',' : allow)
  for (const [key, value] of Object.entries(settings)) {
    process.env[CONFIG_KEYS[key as ConfigKey]] = value
  }
}
