import type Corestore from 'corestore'
import type { SwarmConnection } from 'hyperswarm'

/** How a connection came about. */
export type ConnectionKind = 'direct' | 'swarm'

/**
 * Whether a direct connection takes the place of another with the same peer. Who connects anew has lost
 * the old one, or will when it notices; where each connected to the other, both sides keep the same one.
 */
function replaces(connection: SwarmConnection, before: SwarmConnection): boolean {
  if (connection.isInitiator === before.isInitiator) return true
  const isFirst = Buffer.compare(connection.publicKey, connection.remotePublicKey) < 0
  return connection.isInitiator === isFirst
}

/**
 * Replicates a store over one connection a peer. Over two, each block would be asked for and sent twice:
 * the logs take them for two peers. A direct connection goes before one of the swarm, which is then
 * kept for when the direct one ends; both sides decide so by the same rule.
 */
export class Replications {
  readonly #store: Corestore
  readonly #onError: (error: Error) => void
  readonly #byPeer = new Map<string, Map<ConnectionKind, SwarmConnection>>()
  readonly #replicated = new WeakSet<SwarmConnection>()

  constructor(store: Corestore, onError: (error: Error) => void) {
    this.#store = store
    this.#onError = onError
  }

  add(connection: SwarmConnection, kind: ConnectionKind): void {
    const peer = connection.remotePublicKey.toString('hex')
    const connections = this.#byPeer.get(peer) ?? new Map<ConnectionKind, SwarmConnection>()
    this.#byPeer.set(peer, connections)
    const before = connections.get(kind)
    if (before && kind === 'direct' && !replaces(connection, before)) {
      connection.destroy()
      return
    }
    connections.set(kind, connection)
    connection.once('close', () => {
      if (connections.get(kind) === connection) connections.delete(kind)
      if (connections.size === 0) this.#byPeer.delete(peer)
      else this.#replicateBest(connections)
    })
    if (kind === 'direct') before?.destroy()
    this.#replicateBest(connections)
  }

  #replicateBest(connections: ReadonlyMap<ConnectionKind, SwarmConnection>): void {
    const direct = connections.get('direct')
    const swarm = connections.get('swarm')
    const best = direct ?? swarm
    if (best === undefined || this.#replicated.has(best)) return
    // What it had been asked for is asked for again.
    if (direct && swarm && this.#replicated.has(swarm)) swarm.destroy()
    this.#replicated.add(best)
    this.#store.replicate(best).on('error', this.#onError)
  }
}
