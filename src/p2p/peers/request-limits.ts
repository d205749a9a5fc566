import Replicator, { type ReplicatingPeer } from 'hypercore/lib/replicator.js'
import type { SwarmConnection } from 'hyperswarm'
import Protomux from 'protomux'
import { replaceMethod } from '../library-seams.ts'

/** How many blocks of a log a connection's peer may be asked for at once. */
const limits = new WeakMap<object, () => number>()

// hypercore has no switch for it that holds for logs opened later as well.
for (const name of ['Peer.getMaxInflight', 'Peer.getMaxHotswapInflight'] as const) {
  replaceMethod(name, Replicator.Peer.prototype, (usual) => {
    return function (this: ReplicatingPeer): number {
      const limit = limits.get(this.stream)
      const most = usual.call(this)
      return limit === undefined ? most : Math.min(most, limit())
    }
  })
}

/**
 * Bounds what the peer at the other end of a connection is asked for at once, of each log; its own requests
 * are answered as ever. What had been asked for before is not called off.
 *
 * @param most asked each time; 0 for nothing
 * @returns what lifts the limit, unless another has taken its place
 */
export function limitRequests(connection: SwarmConnection, most: () => number): () => void {
  limits.set(connection, most)
  return () => {
    if (limits.get(connection) === most) limits.delete(connection)
  }
}

/** How many requests of ours, over all logs, the peer has not answered yet or we are still checking the answers of. */
export function requestsUnderWay(connection: SwarmConnection): number {
  let requests = 0
  for (const channel of Protomux.from(connection)) {
    if (channel.protocol !== 'hypercore/alpha') continue
    const peer = channel.userData as ReplicatingPeer | null
    if (peer) requests += peer.inflight + peer.dataProcessing
  }
  return requests
}
