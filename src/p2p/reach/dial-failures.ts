import { putYoungest } from '../../core/put-youngest.ts'
import type DHT from 'hyperdht'
import { replaceMethod } from '../library-seams.ts'

/**
 * Why a peer of the DHT could not be connected to: `silent` did not answer; `nats` both NATs give each destination another
 * port; `blocked` no hole could be punched; `relay` the relay did not connect the two.
 */
export type DialFailure = 'silent' | 'nats' | 'blocked' | 'relay'

const MOST_KEPT = 1_024
/** hyperdht's codes. What is not named here, such as a duplicate connection, says nothing of the path. */
const FAILURES: Readonly<Record<string, DialFailure>> = {
  PEER_CONNECTION_FAILED: 'silent',
  PEER_NOT_FOUND: 'silent',
  HOLEPUNCH_DOUBLE_RANDOMIZED_NATS: 'nats',
  HOLEPUNCH_ABORTED: 'blocked',
  HOLEPUNCH_PROBE_TIMEOUT: 'blocked',
  CANNOT_HOLEPUNCH: 'blocked',
  REMOTE_NOT_HOLEPUNCHABLE: 'blocked',
  REMOTE_NOT_HOLEPUNCHING: 'blocked',
  REMOTE_ABORTED: 'blocked',
  RELAY_ABORTED: 'relay'
}

/** How the last attempt to connect to each peer by the DHT failed. hyperswarm tries again and tells nobody. */
export class DialFailures {
  readonly #byPeer = new Map<string, DialFailure>()

  /** Listens to all connections that a node of the DHT makes. */
  watch(dht: DHT): void {
    replaceMethod('HyperDHT.connect', dht, (usual) => (publicKey, options) => {
      const connection = usual.call(dht, publicKey, options)
      const peer = publicKey.toString('hex')
      connection.once('open', () => this.#byPeer.delete(peer))
      connection.on('error', (error: { readonly code?: string }) => {
        const failure = FAILURES[error.code ?? '']
        if (failure) this.#note(peer, failure)
      })
      return connection
    })
  }

  /** @param publicKey hex */
  of(publicKey: string): DialFailure | undefined {
    return this.#byPeer.get(publicKey)
  }

  #note(peer: string, failure: DialFailure): void {
    putYoungest(this.#byPeer, peer, failure, MOST_KEPT)
  }
}
