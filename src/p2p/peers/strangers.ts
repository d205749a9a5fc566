import type { ReplicatingPeer } from 'hypercore/lib/replicator.js'
import type { SwarmConnection } from 'hyperswarm'
import Protomux from 'protomux'
import { replaceMethod } from '../library-seams.ts'
import { limitFrames } from './frame-limit.ts'

/**
 * Who connects names all logs that it holds in one frame, 90 bytes each, and may hold some that this machine
 * does not know before one that it does: this is room for more than five thousand images.
 */
const MOST_BYTES = 1024 * 1024
const MOST_BYTES_OF_ALL = 4 * 1024 * 1024
/** Names of logs that are looked for in the store at once; strangers that send more are not waited for. */
const MOST_LOOK_UPS = 8_192
/** hypercore's protocol name. */
const REPLICATION = 'hypercore/alpha'

/**
 * Tells which connected peers are strangers: those that have not shown to know the key of a log that this machine holds.
 * Anybody can make a key pair and shake hands, so what strangers send is bounded.
 */
export class Strangers {
  /** By public key. */
  readonly #byPeer = new Map<string, Set<SwarmConnection>>()
  /** What each that was a stranger when it was last looked at has sent. */
  readonly #received = new Map<SwarmConnection, number>()
  readonly #known = new WeakSet<SwarmConnection>()
  #lookUps = 0

  /** Bounds what comes over a connection for as long as its peer is a stranger. */
  add(connection: SwarmConnection): void {
    const peer = connection.remotePublicKey.toString('hex')
    const connections = this.#byPeer.get(peer) ?? new Set()
    this.#byPeer.set(peer, connections.add(connection))
    this.#received.set(connection, 0)
    limitFrames(connection, {
      allows: (frameBytes, receivedBytes) => this.#allows(connection, frameBytes, receivedBytes)
    })
    connection.once('close', () => {
      this.#received.delete(connection)
      connections.delete(connection)
      if (connections.size === 0) this.#byPeer.delete(peer)
    })
  }

  /** Whether the peer at the other end has shown nothing, on this connection and the others with it. */
  has(connection: SwarmConnection): boolean {
    if (this.#known.has(connection)) return false
    const connections = this.#byPeer.get(connection.remotePublicKey.toString('hex')) ?? []
    // On one that is kept for later nothing is read: its peer shows itself on the other.
    const isKnown = [connection, ...connections].some(
      (each) => this.#known.has(each) || shows(each)
    )
    if (!isKnown) return true
    this.#known.add(connection)
    this.#received.delete(connection)
    limitFrames(connection, undefined)
    return false
  }

  /** Bounds what is looked for in the store at once. Before the store is replicated over the connection. */
  limitLookUps(connection: SwarmConnection): void {
    const mux = Protomux.from(connection)
    replaceMethod('Protomux.pair', mux, (usual) => (channels, notify) => {
      // With an id it is of one log, which is open.
      if (channels.protocol !== REPLICATION || channels.id) usual.call(mux, channels, notify)
      else usual.call(mux, channels, (id) => this.#lookUp(connection, () => notify(id)))
    })
  }

  async #lookUp(connection: SwarmConnection, find: () => unknown): Promise<void> {
    // One frame may hold thousands of names.
    if (connection.destroying) return
    if (this.#lookUps >= MOST_LOOK_UPS && this.has(connection)) {
      connection.destroy(new Error('strangers ask for too many logs'))
      return
    }
    this.#lookUps++
    try {
      await find()
    } finally {
      this.#lookUps--
    }
  }

  #allows(connection: SwarmConnection, frameBytes: number, receivedBytes: number): boolean {
    this.#received.set(connection, receivedBytes)
    if (
      frameBytes <= MOST_BYTES &&
      receivedBytes <= MOST_BYTES &&
      !this.#isTooMuch(receivedBytes)
    ) {
      return true
    }
    return !this.has(connection)
  }

  /** Whether strangers have sent too much in all, and one that has sent this its share of that. */
  #isTooMuch(receivedBytes: number): boolean {
    if (receivedBytes <= MOST_BYTES_OF_ALL / this.#received.size) return false
    let sum = 0
    for (const received of this.#received.values()) sum += received
    if (sum <= MOST_BYTES_OF_ALL) return false
    for (const connection of this.#received.keys()) this.has(connection)
    return receivedBytes > MOST_BYTES_OF_ALL / this.#received.size
  }
}

/** Whether a log is replicated over it: its peer has proven to know that log's key. */
function shows(connection: SwarmConnection): boolean {
  // Making a multiplexer would read what is not to be read yet.
  if (!(connection.userData instanceof Protomux)) return false
  for (const channel of connection.userData) {
    if (channel.protocol !== REPLICATION) continue
    if ((channel.userData as ReplicatingPeer | null)?.remoteOpened) return true
  }
  return false
}
