import Replicator, { type ReplicatingPeer, type RequestedBlock } from 'hypercore/lib/replicator.js'
import { replaceMethod } from '../library-seams.ts'

/** A peer is asked to tell of so many blocks at once. Source: `BATCH` of hypercore's lib/wants.js. */
const WANT_BLOCKS = 65_536 * 4 * 8

/** Decides about the requests of one log, and hears of those that peers make. */
export interface RequestGate {
  /** Whether a peer that has a block is asked for it now. */
  allows(peer: ReplicatingPeer, request: RequestedBlock): boolean
  /** How many requests a peer may have in flight. */
  most(peer: ReplicatingPeer): number
  /** A peer has requested a block from this machine. */
  requested(peer: ReplicatingPeer, block: number): void
}

/** A log may be open more than once: all its gates have to agree. */
const gates = new WeakMap<object, Set<RequestGate>>()

// hypercore has no option for which peer is asked for which block.
replaceMethod('Peer._requestBlock', Replicator.Peer.prototype, (usual) => {
  return function (this: ReplicatingPeer, request): boolean {
    return mayRequest(this, request) && usual.call(this, request)
  }
})
replaceMethod('Peer._requestRangeBlock', Replicator.Peer.prototype, (usual) => {
  return function (this: ReplicatingPeer, index, length): boolean {
    const request = this.replicator._blocks.get(index) ?? { index, inflight: [] }
    return mayRequest(this, request) && usual.call(this, index, length)
  }
})
replaceMethod('Peer.getMaxInflight', Replicator.Peer.prototype, (usual) => {
  return function (this: ReplicatingPeer): number {
    let most = usual.call(this)
    for (const gate of gates.get(this.replicator) ?? []) most = Math.min(most, gate.most(this))
    return most
  }
})
replaceMethod('Peer.onrequest', Replicator.Peer.prototype, (usual) => {
  return function (this: ReplicatingPeer, message): Promise<void> {
    for (const gate of gates.get(this.replicator) ?? []) {
      if (message.block !== null) gate.requested(this, message.block.index)
    }
    return usual.call(this, message)
  }
})

/** Has a gate decide about the requests of a log. @returns ends that */
export function setGate(replicator: object, gate: RequestGate): () => void {
  const set = gates.get(replicator) ?? new Set()
  gates.set(replicator, set.add(gate))
  return () => void set.delete(gate)
}

function mayRequest(peer: ReplicatingPeer, request: RequestedBlock): boolean {
  // Where the peer does not have the block, hypercore asks to be told when it does. With many peers that lack it, this
  // takes longer than all else that is decided here.
  if (!peer._remoteHasBlock(request.index)) return !willTell(peer, request.index)
  for (const gate of gates.get(peer.replicator) ?? []) {
    if (!gate.allows(peer, request)) return false
  }
  return true
}

/** Whether a peer was asked to tell when it gets a block. */
function willTell({ wants }: ReplicatingPeer, block: number): boolean {
  return wants.wants.has(Math.floor(block / WANT_BLOCKS))
}
