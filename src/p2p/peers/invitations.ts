import { isIP } from 'node:net'
import type { SwarmConnection } from 'hyperswarm'
import type { DirectPeers } from './direct-peers.ts'

/** A direct connection that ends sooner was not worth having. */
const SHORT_MS = 60_000
/** A peer that could not be reached, or not for long, is not tried again for this time. */
const REST_MS = 10 * 60_000
const MOST_RESTING = 1_024

/**
 * Follows what peers of the swarm say about where they listen: dials that port at the address that their
 * connection comes from, and talks to nobody else than the one who said so.
 */
export class Invitations {
  readonly #direct: DirectPeers
  readonly #restingUntil = new Map<string, number>()

  constructor(direct: DirectPeers) {
    this.#direct = direct
  }

  /** A peer has told its port over a connection of the swarm. Failing is no error: that connection goes on. */
  async take({ rawStream, remotePublicKey }: SwarmConnection, port: number): Promise<void> {
    const peer = remotePublicKey.toString('hex')
    const host = rawStream.remoteHost
    if (typeof host !== 'string' || isIP(host) === 0 || this.#direct.has(remotePublicKey)) return
    if ((this.#restingUntil.get(peer) ?? 0) > performance.now()) return
    const connection = await this.#direct.dialKnown({ host, port }, remotePublicKey)
    if (connection === undefined) return this.#rest(peer)
    const opened = performance.now()
    connection.once('close', () => {
      const isReplaced = this.#direct.has(remotePublicKey)
      if (!isReplaced && performance.now() - opened < SHORT_MS) this.#rest(peer)
    })
  }

  #rest(peer: string): void {
    this.#restingUntil.delete(peer)
    this.#restingUntil.set(peer, performance.now() + REST_MS)
    for (const oldest of this.#restingUntil.keys()) {
      if (this.#restingUntil.size <= MOST_RESTING) return
      this.#restingUntil.delete(oldest)
    }
  }
}
