import type { PeerInfo, SwarmConnection } from 'hyperswarm'
import { ConnectionSlots, STRANGER_LIMITS } from './connection-slots.ts'
import type { Strangers } from './strangers.ts'

/**
 * The places of connections that the swarm made, from either side. hyperswarm counts all alike, so that strangers would
 * take the places of peers that this machine wants to connect to.
 */
export class SwarmSlots implements Disposable {
  readonly #strangers: Strangers
  readonly #slots = new ConnectionSlots(STRANGER_LIMITS)

  constructor(strangers: Strangers) {
    this.#strangers = strangers
  }

  /** Gives a new connection a place for as long as it lasts, for which another may be closed. */
  give(connection: SwarmConnection, peer: PeerInfo): void {
    const leave = this.#slots.take({
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
    this.#slots[Symbol.dispose]()
  }
}
