import type { Command } from 'commander'
import { ALLOW_VARIABLE, parseAllow } from '../../../rpc/allowed-peers.ts'
import {
  MAX_DISK_VARIABLE,
  MAX_DOWN_VARIABLE,
  MAX_UP_VARIABLE,
  parseMaxDisk,
  parseRate
} from '../../../rpc/daemon-limits.ts'
import { ADVERTISE_VARIABLE, LISTEN_VARIABLE, parseListening } from '../../../rpc/listening.ts'
import { METRICS_VARIABLE, parseMetricsAddress } from '../../../rpc/metrics-address.ts'
import { ANY_PORT, parseUiAddress, UI_VARIABLE } from '../../../rpc/ui-address.ts'

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

/**
 * Checks these options and puts them into the environment, as a daemon in the background gets all it is told.
 *
 * @throws ContainerError `USAGE`
 */
export function setListening(flags: ListenFlags): void {
  const { listen, advertise, allow, maxDisk, maxUp, maxDown, metrics, ui } = flags
  const page = ui === true ? ANY_PORT : ui
  parseUiAddress(page)
  if (page !== undefined) process.env[UI_VARIABLE] = page
  parseMetricsAddress(metrics)
  if (metrics !== undefined) process.env[METRICS_VARIABLE] = metrics
  parseListening(listen, advertise)
  parseMaxDisk(maxDisk)
  for (const rate of [maxUp, maxDown]) parseRate(rate)
  if (maxUp !== undefined) process.env[MAX_UP_VARIABLE] = maxUp
  if (maxDown !== undefined) process.env[MAX_DOWN_VARIABLE] = maxDown
  if (maxDisk !== undefined) process.env[MAX_DISK_VARIABLE] = maxDisk
  // An empty list is no list of nobody by mistake: in a script it is a variable that is not set.
  parseAllow(allow === '' ? ',' : allow)
  if (allow !== undefined) process.env[ALLOW_VARIABLE] = allow
  if (listen !== undefined) process.env[LISTEN_VARIABLE] = listen
  if (advertise !== undefined) process.env[ADVERTISE_VARIABLE] = advertise
}
