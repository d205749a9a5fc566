import type DHT from 'hyperdht'
import { formatKey } from '../link.ts'

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

export interface NatOptions {
  /** @default `open` on a private DHT, else `auto` */
  readonly nat?: 'auto' | 'open' | undefined
  /** Nodes of a private DHT. */
  readonly bootstrap: readonly string[] | undefined
  readonly relays?: readonly Buffer[] | undefined
}

type SeenNode = Pick<DHT, 'host' | 'port' | 'firewalled' | 'randomized'>

export function natStatusOf(dht: SeenNode, options: NatOptions): NatStatus {
  return {
    kind: natKindOf(dht),
    seenAt: seenAt(dht),
    isAssumed: isOpen(options),
    relays: (options.relays ?? []).map(formatKey)
  }
}

/** Whether others reach a node at its address, as far as its options say. */
export function isOpen({ nat, bootstrap }: NatOptions): boolean {
  return nat === 'open' || (nat === undefined && bootstrap !== undefined)
}

/** The relay to use for a connection, where one is needed. */
export function relayFor(relays: readonly Buffer[], isNeeded: boolean): Buffer | null {
  return isNeeded ? (relays[Math.floor(Math.random() * relays.length)] ?? null) : null
}

function natKindOf(dht: SeenNode): NatKind {
  if (!dht.firewalled) return 'open'
  if (dht.randomized) return 'random'
  return dht.host !== null && dht.port !== 0 ? 'consistent' : 'unknown'
}

function seenAt({ host, port }: SeenNode): string | null {
  if (host === null) return null
  return port === 0 ? host : `${host}:${port}`
}
