import type DHT from 'hyperdht'

/**
 * How other nodes of the DHT reach this one. `open`: at its address, without a NAT or firewall in between; `consistent`: behind
 * a NAT that gives it one port for all, so that holes can be punched; `random`: behind a NAT that gives it another port for each
 * destination; `unknown`: too few nodes have answered.
 */
export type NatKind = 'open' | 'consistent' | 'random' | 'unknown'

export interface NatStatus {
  readonly kind: NatKind
  /** Where others see it, `host:port`, or without a port where that differs; null where nobody has told. */
  readonly seenAt: string | null
  /** Whether it is taken to be open without having asked others (`nat = open`). */
  readonly isAssumed: boolean
  /** Public keys of the relays that are used where holes cannot be punched, z32. */
  readonly relays: readonly string[]
}

export function natKindOf(dht: Pick<DHT, 'host' | 'port' | 'firewalled' | 'randomized'>): NatKind {
  if (!dht.firewalled) return 'open'
  if (dht.randomized) return 'random'
  return dht.host !== null && dht.port !== 0 ? 'consistent' : 'unknown'
}

export function seenAt({ host, port }: Pick<DHT, 'host' | 'port'>): string | null {
  if (host === null) return null
  return port === 0 ? host : `${host}:${port}`
}
