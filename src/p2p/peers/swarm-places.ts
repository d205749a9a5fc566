import type { PeerInfo, SwarmConnection } from 'hyperswarm'
import { Places, STRANGER_LIMITS } from './places.ts'
import type { Strangers } from './strangers.ts'

/**
 * The places of connections that the swarm made, whoever began. hyperswarm counts all alike, so that strangers would take
 * the places of peers that this machine wants to connect to.
 */
export class SwarmPlaces implements Disposable {
  readonly #strangers: Strangers
  readonly #places = new Places(STRANGER_LIMITS)

  constructor(strangers: Strangers) {
    this.#strangers = strangers
  }

  /** Gives a new connection a place for as long as it lasts, for which another may be closed. */
  give(connection: SwarmConnection, peer: PeerInfo): void {
    const leave = this.#places.take({
      address: connection.rawStream.remoteHost ?? '',
      isStranger: () => this.#strangers.has(connection),
      traffic: () => connection.rawBytesRead + connection.rawBytesWritten,
      sendAway: () => {
        // It may come again, and be found again.
        peer.reconnect(false)
        connection.destroy()
      }
    })
    if (leave) connection.once('close', leave)
    else connection.destroy()
  }

  [Symbol.dispose](): void {
    this.#places[Symbol.dispose]()
  }
}
