import type { CorePeer, default as Hypercore } from 'hypercore'

/** Whether there is a block among these that no connected peer of the log has. */
export function lackOffer({ peers }: Hypercore, blocks: Iterable<number>): boolean {
  for (const block of blocks) if (!peers.some((peer) => offers(peer, block))) return true
  return false
}

function offers({ remoteContiguousLength, remoteBitfield }: CorePeer, block: number): boolean {
  return block < remoteContiguousLength || remoteBitfield.get(block)
}
