import { shuffled } from '../../core/shuffled.ts'
import { mixed } from './block-choice.ts'

/** A connected peer, as far as it matters for a share. */
export interface SharePeer {
  /** Its public key, in hex. */
  readonly id: string
  /** Whether it has all blocks. */
  readonly isWhole: boolean
  has(block: number): boolean
}

/** What a mirror knows when it decides which blocks to keep. */
export interface ShareView {
  /** Public key of this machine, in hex. */
  readonly self: string
  /** Blocks of the log. */
  readonly length: number
  readonly isHere: (block: number) => boolean
  readonly peers: readonly SharePeer[]
}

/** A block and how many peers with a part of the log have it. */
export interface RankedBlock {
  readonly block: number
  readonly copies: number
}

/**
 * Chooses blocks that a mirror with a part of the log should fetch: those that the fewest other peers with a part have.
 * Peers with all blocks do not count, because the mirrors should hold everything among themselves when those are gone.
 * Among equals, each mirror begins with others, by rendezvous hashing, so that mirrors that begin together take
 * different blocks.
 *
 * @param most how many at most
 * @returns the rarest first
 */
export function blocksToTake(view: ShareView, most: number): RankedBlock[] {
  const { self, length, isHere, peers } = view
  const parts = peers.filter(({ isWhole }) => !isWhole)
  const isSomeoneWhole = parts.length < peers.length
  const byRank: (RankedBlock[] | undefined)[] = []
  for (let block = 0; block < length; block++) {
    if (isHere(block)) continue
    const copies = copiesOf(block, parts)
    if (copies === 0 && !isSomeoneWhole) continue
    const own = mixed(self, block)
    const isFirst = parts.every((each) => each.has(block) || mixed(each.id, block) < own)
    ;(byRank[2 * copies + (isFirst ? 0 : 1)] ??= []).push({ block, copies })
  }
  const chosen: RankedBlock[] = []
  for (const rank of byRank) {
    if (chosen.length >= most) break
    chosen.push(...shuffled(rank ?? []).slice(0, most - chosen.length))
  }
  return chosen
}

/**
 * Chooses blocks that a mirror can give up: those that other peers with a part hold, the most common first. The mirrors that
 * hold a block agree on one that keeps it, by rendezvous hashing, so that they do not all drop it at the same moment.
 */
export function blocksToGiveUp(view: ShareView, most: number): RankedBlock[] {
  const { self, length, isHere, peers } = view
  const parts = peers.filter(({ isWhole }) => !isWhole)
  const candidates: RankedBlock[] = []
  for (let block = 0; block < length; block++) {
    if (!isHere(block)) continue
    const own = mixed(self, block)
    const isKeptElsewhere = parts.some((each) => each.has(block) && mixed(each.id, block) > own)
    if (isKeptElsewhere) candidates.push({ block, copies: copiesOf(block, parts) })
  }
  return candidates.sort((one, other) => other.copies - one.copies).slice(0, most)
}

function copiesOf(block: number, peers: readonly SharePeer[]): number {
  let copies = 0
  for (const peer of peers) if (peer.has(block)) copies++
  return copies
}
