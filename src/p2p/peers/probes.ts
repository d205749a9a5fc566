import type { SwarmConnection } from 'hyperswarm'

/** Longer than a round trip takes, with a lost packet, on a link that is worth having. */
const ANSWER_MS = 2_500

interface Probe {
  readonly packets: number
  readonly sentAt: number
}

/**
 * Finds out which connections of the swarm lead nowhere. A process that was killed says no good-bye on UDP; hyperswarm
 * has one connection a key, so that the dead one stands in the way of the peer that is back.
 */
export class Probes {
  readonly #probes = new WeakMap<SwarmConnection, Probe>()

  /** Asks for a sign of life, where none has been asked for, and ends a connection that gives none. */
  look(connection: SwarmConnection): void {
    const packets = connection.rawStream.packetsReceived
    if (packets === undefined || connection.destroying) return
    const now = performance.now()
    const probe = this.#probes.get(connection)
    if (probe?.packets === packets) {
      if (now - probe.sentAt > ANSWER_MS) connection.destroy(new Error('the peer is silent'))
      return
    }
    this.#probes.set(connection, { packets, sentAt: now })
    // It is acknowledged.
    connection.sendKeepAlive()
  }
}
