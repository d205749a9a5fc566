import type Corestore from 'corestore'
import type { SwarmConnection } from 'hyperswarm'
import { DirectAddress } from './direct-address.ts'
import { HandOver } from './hand-over.ts'
import type { Strangers } from './strangers.ts'

/**
 * A direct peer of which nothing is heard for so long is gone, where the swarm's connection stands by: sooner
 * than where there is no other.
 */
const SILENCE_MS = 10_000

/** Two peers that dial each other at the same time do it within so long; later, one of them has lost the connection. */
const TOGETHER_MS = 10_000

/** How a connection came about. */
export type ConnectionKind = 'direct' | 'swarm'

export interface ReplicationsOptions {
  readonly store: Corestore
  readonly strangers: Strangers
  /** Where this machine listens for direct connections, which its peers of the swarm are told. */
  readonly listeningPort: () => number | undefined
  /** A peer of the swarm has told where it listens. */
  readonly onPort: (connection: SwarmConnection, port: number) => void
  readonly onError: (error: Error) => void
}

/**
 * Whether a direct connection takes the place of another with the same peer. Who connects anew has lost
 * the old one, or will when it notices; where each connected to the other, both sides keep the same one.
 */
function replaces(connection: SwarmConnection, before: SwarmConnection, ageMs: number): boolean {
  if (connection.isInitiator === before.isInitiator || ageMs > TOGETHER_MS) return true
  const isFirst = Buffer.compare(connection.publicKey, connection.remotePublicKey) < 0
  return connection.isInitiator === isFirst
}

/**
 * Replicates a store over one connection a peer: the logs take two for two peers. A direct connection goes
 * before one of the swarm. One of the swarm that is in use then is handed over and closed; the next
 * that hyperswarm makes is kept for when the direct one ends. Both sides decide so by the same rule.
 */
export class Replications {
  readonly #options: ReplicationsOptions
  readonly #byPeer = new Map<string, Map<ConnectionKind, SwarmConnection>>()
  readonly #since = new WeakMap<SwarmConnection, number>()
  readonly #replicated = new WeakSet<SwarmConnection>()
  readonly #addresses = new WeakMap<SwarmConnection, DirectAddress>()

  constructor(options: ReplicationsOptions) {
    this.#options = options
  }

  add(connection: SwarmConnection, kind: ConnectionKind): void {
    const peer = connection.remotePublicKey.toString('hex')
    const connections = this.#byPeer.get(peer) ?? new Map<ConnectionKind, SwarmConnection>()
    this.#byPeer.set(peer, connections)
    const before = connections.get(kind)
    if (before && kind === 'direct' && !replaces(connection, before, this.#ageMs(before))) {
      connection.destroy()
      return
    }
    connections.set(kind, connection)
    this.#since.set(connection, performance.now())
    connection.once('close', () => {
      if (connections.get(kind) === connection) connections.delete(kind)
      if (connections.size === 0) this.#byPeer.delete(peer)
      else this.#replicateBest(connections)
    })
    if (kind === 'direct') before?.destroy()
    this.#replicateBest(connections)
  }

  #ageMs(connection: SwarmConnection): number {
    return performance.now() - (this.#since.get(connection) ?? performance.now())
  }

  #replicateBest(connections: ReadonlyMap<ConnectionKind, SwarmConnection>): void {
    const direct = connections.get('direct')
    const swarm = connections.get('swarm')
    const best = direct ?? swarm
    if (direct && swarm) direct.setTimeout(SILENCE_MS)
    if (best === undefined || this.#replicated.has(best)) return
    const address = swarm && this.#addresses.get(swarm)
    if (direct && swarm && address) HandOver.begin({ swarm, direct, address })
    this.#replicate(best)
    if (best === swarm) this.#talkOfAddresses(swarm)
  }

  #replicate(connection: SwarmConnection): void {
    this.#replicated.add(connection)
    const { store, strangers, onError } = this.#options
    strangers.limitLookUps(connection)
    store.replicate(connection).on('error', onError)
  }

  /** Only where it is in use: on one that is kept for later nothing is read until then. */
  #talkOfAddresses(swarm: SwarmConnection): void {
    const { listeningPort, onPort } = this.#options
    const options = {
      port: listeningPort(),
      onPort: (port: number) => onPort(swarm, port)
    }
    this.#addresses.set(swarm, new DirectAddress(swarm, options))
  }
}
