import { putYoungest } from '../../core/put-youngest.ts'
import { isIP } from 'node:net'
import type { SwarmConnection } from 'hyperswarm'
import type { KnownPeer } from './known-peers.ts'

const MOST = 1_024

/** Where peers can be connected to by TCP, as they have said, or as it was tried; the latest of them. */
export class PeerAddresses {
  readonly #byKey = new Map<string, KnownPeer>()

  /** A peer has told its port over a connection of the swarm: it is one of the address that this comes from. */
  note({ rawStream, remotePublicKey }: SwarmConnection, port: number): void {
    const host = rawStream.remoteHost
    if (typeof host !== 'string' || isIP(host) === 0) return
    this.put({ publicKey: remotePublicKey.toString('hex'), host, port })
  }

  put(peer: KnownPeer): void {
    putYoungest(this.#byKey, peer.publicKey, peer, MOST)
  }

  get(publicKey: Buffer): KnownPeer | undefined {
    return this.#byKey.get(publicKey.toString('hex'))
  }
}
