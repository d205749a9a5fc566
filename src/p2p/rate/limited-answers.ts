import Replicator, { type ReplicatingPeer, type RequestMessage } from 'hypercore/lib/replicator.js'
import type { SwarmConnection } from 'hyperswarm'
import { replaceMethod } from '../library-seams.ts'
import type { RateLimits } from './rate-limits.ts'

/** Limits by connection. */
const limits = new WeakMap<object, RateLimits>()

// hypercore has no hook between a request and its answer.
replaceMethod('Peer.onrequest', Replicator.Peer.prototype, (usual) => {
  return function (this: ReplicatingPeer, message: RequestMessage): Promise<void> {
    const send = (): Promise<void> => usual.call(this, message)
    return limits.get(this.stream)?.answer(this, message, send) ?? send()
  }
})

/** Has answers that are sent over a connection wait for their turn. */
export function limitAnswers(connection: SwarmConnection, rates: RateLimits): void {
  limits.set(connection, rates)
}
