import type { CorePeer } from 'hypercore'

interface Bytes {
  readonly sentBytes: number
  readonly receivedBytes: number
}

const NONE: Bytes = { sentBytes: 0, receivedBytes: 0 }

/** Counts bytes of blocks by connected peer and log. What is counted of a peer goes when its connection does. */
export class PeerBytes {
  readonly #bytes = new WeakMap<CorePeer, Bytes>()

  of(peer: CorePeer): Bytes {
    return this.#bytes.get(peer) ?? NONE
  }

  noteSent(peer: CorePeer, bytes: number): void {
    const { sentBytes, receivedBytes } = this.of(peer)
    this.#bytes.set(peer, { sentBytes: sentBytes + bytes, receivedBytes })
  }

  noteReceived(peer: CorePeer, bytes: number): void {
    const { sentBytes, receivedBytes } = this.of(peer)
    this.#bytes.set(peer, { sentBytes, receivedBytes: receivedBytes + bytes })
  }
}
