import { putYoungest } from '../../core/put-youngest.ts'
import { AnnouncedBlocks } from './announced-blocks.ts'
import { receiverOf } from './crowd-messages.ts'
import { RequestWindow } from './request-window.ts'

/** For how long a peer counts as busy, and as shared, after it last told of blocks on their way to others. */
const BUSY_MS = 1_500
const SHARED_MS = 15_000
/** For how long a reader counts as one that fetches, after a request of it became known. */
const FETCHING_MS = 5_000
const MOST_FETCHING = 1_024
/** For how long a reader waits for a block that is on its way to another reader, before it asks the sender itself. */
const PATIENCE_MS = 4_000
/** The same for a block that somebody waits for. */
const URGENT_PATIENCE_MS = 500
/** A block that was requested is late after this long; a shared peer is not asked for it before the second. */
const LATE_MS = 2_000
const SHARED_LATE_MS = 3_000
/** The same for a block that a read waits for; from a peer that is not shared, the fetcher may request it at any time. */
const URGENT_SHARED_LATE_MS = 1_000
/** Readers that take longer for an answer are not preferred to a shared peer, unless that one takes half as long itself. */
const SLOW_MS = 1_000
/**
 * Readers take turns at a shared peer for a block that nobody else has: each waits so many times as long as that peer's
 * answers take for every reader that comes before it, but no longer than for the third.
 */
const TURN_TIMES = 2
const LEAST_TURN_MS = 50
const MOST_TURN_MS = 4_000
const MOST_URGENT_TURN_MS = 1_500
const LAST_TURN = 3
/** Blocks for which this reader waits for its turn; the oldest begin anew. */
const MOST_HELD_BACK = 4_096
/** A peer that was asked and has given nothing for this time does not count as having a block. */
const STALLED_MS = 2_000
/** Much slower is what takes so many times as long. */
const MUCH_SLOWER = 2
/** A shared peer may be asked for so many urgent blocks beyond its window. */
const URGENT_EXTRA = 2
/** Requests in flight at a peer that serves nobody else: what a link of 100 Mbit/s and 60 ms holds. */
const UNSHARED_WINDOW = 16
/** The same at the only peer, before its first answer: by then it has told whether it serves others. */
const FIRST_WINDOW = 8
/** For how long a block that the only peer is sending to another reader is waited for: readers find each other by then. */
const MEETING_MS = 1_500
/** How many candidates the rarest is taken from. With a few hundred peers this finds one of the rarest tenth. */
const SAMPLE = 24

/** A connected peer that has blocks of the log. */
export interface Holder {
  /** Its public key, in hex. */
  readonly id: string
  /** Whether it has said that it has a block. */
  has(block: number): boolean
  /** Whether it has all blocks. */
  readonly isWhole: boolean
  /** How many requests of ours it has not answered. */
  readonly inFlight: number
}

/** A block that is to be requested. */
export interface WantedBlock {
  readonly block: number
  /** Whether a read waits for it. */
  readonly isUrgent: boolean
  /** When it was last requested from another peer, where that has not answered. Milliseconds. */
  readonly askedMs?: number | undefined
}

/** Candidates for the next request. An empty one gives none. */
export interface BlockPool {
  /** One at random; undefined where none is left. @param random at least 0, below 1 */
  at(random: number): number | undefined
}

/**
 * Decides which peer is asked for which block when several readers fetch one image at once, so that the peer that alone
 * has all of it sends each block about once and the readers pass it on. Pure: time and chance are given, so that the
 * simulation runs the same code.
 *
 * - Peers tell each other which blocks they are sending to somebody. A reader does not request such a block from the same
 *   sender until that takes too long, and gets it from the other reader instead.
 * - A peer with all blocks that serves others, too, is asked for nothing that a reader has who answers in good time.
 * - Blocks in the background are requested rarest first; among equals, each reader begins with others.
 * - The number of requests in flight follows the time that answers take, per peer.
 *
 * Rarest first is from B. Cohen, "Incentives Build Robustness in BitTorrent" (2003).
 */
export class BlockChoice {
  readonly #self: string
  readonly #holders: () => readonly Holder[]
  readonly #random: () => number
  readonly #announced = new AnnouncedBlocks()
  readonly #windows = new Map<string, RequestWindow>()
  /** When each last told of blocks on their way. */
  readonly #toldMs = new Map<string, number>()
  /** When each reader was last known to fetch something, by the beginning of its public key. */
  readonly #fetchingMs = new Map<string, number>()
  /** Since when each block waits for this reader's turn. */
  readonly #heldBackMs = new Map<number, number>()

  /**
   * @param self public key of this machine, in hex
   * @param holders connected peers of the log, one for each public key
   * @param random numbers of at least 0, below 1
   */
  constructor(self: string, holders: () => readonly Holder[], random: () => number = Math.random) {
    this.#self = self
    this.#holders = holders
    this.#random = random
  }

  /** A peer tells that it is sending blocks to somebody else. @param receiver beginning of that one's public key */
  noteSending(sender: string, receiver: string, blocks: readonly number[], nowMs: number): void {
    // What it could carry alone says nothing of its part among several.
    if (nowMs - (this.#toldMs.get(sender) ?? -Infinity) >= SHARED_MS)
      this.#windowOf(sender).restart()
    this.#toldMs.set(sender, nowMs)
    putYoungest(this.#fetchingMs, receiver, nowMs, MOST_FETCHING)
    for (const block of blocks) this.#announced.add({ sender, receiver, block, atMs: nowMs })
  }

  /** A peer has requested a block from this machine. */
  noteRequest(peer: string, nowMs: number): void {
    putYoungest(this.#fetchingMs, receiverOf(peer), nowMs, MOST_FETCHING)
  }

  /** A block has come from a peer. @param tookMs since it was requested; undefined where the request was cancelled */
  noteArrival(sender: string, block: number, tookMs: number | undefined, nowMs: number): void {
    this.#announced.remove(block)
    this.#heldBackMs.delete(block)
    const window = this.#windowOf(sender)
    if (tookMs === undefined) window.heard(nowMs)
    else window.arrived(tookMs, nowMs)
  }

  /** A block that a peer was asked for is late, and is requested from another one. @param askedMs how long ago */
  noteLate(peer: string, askedMs: number, nowMs: number): void {
    this.#windowOf(peer).late(askedMs, nowMs)
  }

  /** Whether one of several peers is much slower than another. */
  isUneven(): boolean {
    const holders = this.#holders()
    return holders.length > 1 && holders.some(({ id }) => this.#isSlow(id, holders))
  }

  /** Whether a peer has told of late that it sends blocks to others. */
  isSharing(peer: string, nowMs: number): boolean {
    return nowMs - (this.#toldMs.get(peer) ?? -Infinity) < SHARED_MS
  }

  /** Forgets a peer that has gone. */
  forget(peer: string): void {
    this.#windows.delete(peer)
    this.#toldMs.delete(peer)
    this.#fetchingMs.delete(receiverOf(peer))
    this.#announced.forget(peer)
  }

  /** Whether several readers fetch at once here. */
  isCrowd(nowMs: number): boolean {
    const holders = this.#holders()
    return (
      holders.length > 1 && holders.some((each) => !each.isWhole || this.#isShared(each, nowMs))
    )
  }

  /** Whether a peer with all blocks serves others, too. */
  hasShared(nowMs: number): boolean {
    const holders = this.#holders()
    return holders.length > 1 && holders.some((each) => this.#isShared(each, nowMs))
  }

  /**
   * How many requests a peer may have in flight. With one that has all blocks and serves nobody else yet, others may begin
   * at the same moment.
   */
  window(peer: string, hasUrgent: boolean, nowMs: number): number {
    const holders = this.#holders()
    const holder = holders.find(({ id }) => id === peer)
    if (holder === undefined) return Infinity
    if (holders.length < 2)
      return this.#windowOfOnly(holder, nowMs) + (hasUrgent ? URGENT_EXTRA : 0)
    if (holders.every(({ isWhole }) => isWhole) && !this.hasShared(nowMs)) {
      return this.#isSlow(peer, holders) ? this.#windowOf(peer).size : Infinity
    }
    const isOwn = holder.isWhole && !this.#isShared(holder, nowMs)
    const isAlone = isOwn && !holders.some((each) => this.#isFetching(each, nowMs))
    const least = isAlone ? UNSHARED_WINDOW : 0
    return Math.max(least, this.#windowOf(peer).size) + (hasUrgent ? URGENT_EXTRA : 0)
  }

  /** Whether a peer that has a block is to be asked for it now. */
  mayAsk(holder: Holder, wanted: WantedBlock, nowMs: number): boolean {
    const { block, isUrgent, askedMs } = wanted
    const holders = this.#holders()
    const isShared = this.#isShared(holder, nowMs)
    if (holders.length < 2) {
      return (
        isUrgent || askedMs !== undefined || !isShared || !this.#isMeeting(holder, block, nowMs)
      )
    }
    if (askedMs !== undefined) {
      const lateMs = nowMs - askedMs
      if (isShared) return lateMs > (isUrgent ? URGENT_SHARED_LATE_MS : SHARED_LATE_MS)
      return isUrgent || lateMs > LATE_MS || !this.isCrowd(nowMs)
    }
    if (this.#isAnnounced(holder, wanted, holders, nowMs)) return false
    if (isUrgent && this.#isMuchSlower(holder, block, holders, nowMs)) return false
    if (!isShared) return !holder.isWhole || !this.#isOthersTurn(holder, wanted, holders, nowMs)
    const patienceMs = this.#patienceMs(holder, nowMs)
    const isElsewhere = holders.some((other) => {
      if (other === holder || this.#isShared(other, nowMs) || !other.has(block)) return false
      const window = this.#windowOf(other.id)
      if (window.isStalled(other.inFlight, nowMs, STALLED_MS) || window.usualMs > patienceMs)
        return false
      return !isUrgent || other.inFlight < window.size
    })
    return !isElsewhere && !this.#isOthersTurn(holder, wanted, holders, nowMs)
  }

  /**
   * The block to be requested next of those that nobody waits for.
   *
   * @returns undefined when no peer is to be asked for any of them now
   */
  pick(pool: BlockPool, nowMs: number): number | undefined {
    const holders = this.#holders()
    const free = holders.filter(({ id, inFlight }) => inFlight < this.window(id, false, nowMs))
    let best: number | undefined
    let least = Infinity
    for (let tries = SAMPLE; tries > 0; tries--) {
      const block = pool.at(this.#random())
      if (block === undefined) break
      const copies = holders.reduce((sum, holder) => sum + (holder.has(block) ? 1 : 0), 0)
      if (copies === 0) continue
      // Among equals, readers begin with different ones: two that ask at the same time cannot know of each other.
      const rank = 2 * copies + (this.#countBefore(block, holders) === 0 ? 0 : 1)
      // The sample is in random order, so the first of the best is a random one of them.
      if (rank >= least) continue
      const wanted = { block, isUrgent: false }
      if (!free.some((each) => each.has(block) && this.mayAsk(each, wanted, nowMs))) continue
      best = block
      least = rank
    }
    return best
  }

  /** How many requests the only peer may have in flight. */
  #windowOfOnly(holder: Holder, nowMs: number): number {
    const window = this.#windowOf(holder.id)
    if (this.#isShared(holder, nowMs)) return window.size
    return window.usualMs === 0 ? FIRST_WINDOW : Infinity
  }

  /** Whether the only peer is sending a block to a reader that is not connected here, and may soon be. */
  #isMeeting(holder: Holder, block: number, nowMs: number): boolean {
    const announced = this.#announced.get(holder.id, block)
    return announced !== undefined && nowMs - announced.atMs < MEETING_MS
  }

  /**
   * Whether other readers come before this one for a block that only a shared peer has. What that peer tells of its sending
   * comes too late for this: it stands behind blocks on the same connection.
   */
  #isOthersTurn(
    holder: Holder,
    { block, isUrgent }: WantedBlock,
    holders: readonly Holder[],
    nowMs: number
  ): boolean {
    const fetching = holders.filter((each) => this.#isFetching(each, nowMs))
    const before = this.#countBefore(block, fetching)
    if (before === 0) return false
    const sinceMs = this.#heldBackMs.get(block)
    if (sinceMs === undefined) {
      putYoungest(this.#heldBackMs, block, nowMs, MOST_HELD_BACK)
      return true
    }
    const most = isUrgent ? MOST_URGENT_TURN_MS : MOST_TURN_MS
    const usualMs = TURN_TIMES * this.#windowOf(holder.id).usualMs
    const turnMs = Math.min(Math.max(usualMs, LEAST_TURN_MS), most)
    return nowMs - sinceMs < Math.min(before, LAST_TURN) * turnMs
  }

  /**
   * How many of the peers that lack a block come before this reader, by a hash of peer and block: rendezvous hashing (D.
   * Thaler, C. Ravishankar, "Using name-based mappings to increase hit rates", 1998).
   */
  #countBefore(block: number, peers: readonly Holder[]): number {
    const own = mixed(this.#self, block)
    const isBefore = (each: Holder): boolean =>
      !each.isWhole && !each.has(block) && mixed(each.id, block) >= own
    return peers.reduce((count, each) => count + (isBefore(each) ? 1 : 0), 0)
  }

  /** Whether a peer takes long, and much longer than another one. */
  #isSlow(id: string, holders: readonly Holder[]): boolean {
    const { usualMs } = this.#windowOf(id)
    if (usualMs < SLOW_MS) return false
    return holders.some((other) => {
      const { usualMs: others } = this.#windowOf(other.id)
      return other.id !== id && others > 0 && others * MUCH_SLOWER < usualMs
    })
  }

  /** Whether a peer is too slow for a block that a read waits for, when another one that has it can be asked as well. */
  #isMuchSlower(holder: Holder, block: number, holders: readonly Holder[], nowMs: number): boolean {
    const window = this.#windowOf(holder.id)
    const isStalled = window.isStalled(holder.inFlight, nowMs, STALLED_MS)
    if (!isStalled && window.usualMs < SLOW_MS) return false
    return holders.some((other) => {
      if (other === holder || !other.has(block) || this.#isShared(other, nowMs)) return false
      const { size, usualMs } = this.#windowOf(other.id)
      const isQuick = usualMs > 0 && (isStalled || usualMs * MUCH_SLOWER < window.usualMs)
      return isQuick && other.inFlight < size
    })
  }

  /** Whether a reader fetches blocks at present. One that has a part and rests takes no turn. */
  #isFetching({ id, isWhole }: Holder, nowMs: number): boolean {
    return !isWhole && nowMs - (this.#fetchingMs.get(receiverOf(id)) ?? -Infinity) < FETCHING_MS
  }

  #isShared({ id, isWhole }: Holder, nowMs: number): boolean {
    return isWhole && this.isSharing(id, nowMs)
  }

  /** How slow a reader may be that is asked instead of a shared peer. A peer with much to send is slow itself. */
  #patienceMs({ id }: Holder, nowMs: number): number {
    const isBusy = nowMs - (this.#toldMs.get(id) ?? -Infinity) < BUSY_MS
    return isBusy ? Math.max(SLOW_MS, 2 * this.#windowOf(id).usualMs) : SLOW_MS
  }

  #isAnnounced(
    holder: Holder,
    { block, isUrgent }: WantedBlock,
    holders: readonly Holder[],
    nowMs: number
  ): boolean {
    const announced = this.#announced.get(holder.id, block)
    if (announced === undefined) return false
    const { receiver, atMs } = announced
    const waitedMs = nowMs - atMs
    const usualMs = this.#windowOf(holder.id).usualMs
    if (!isUrgent) return waitedMs < Math.max(PATIENCE_MS, 3 * usualMs)
    // The receiver can pass it on only over a connection to this machine.
    const isNear = holders.some(({ id }) => id.startsWith(receiver))
    return isNear && waitedMs < Math.max(URGENT_PATIENCE_MS, 2 * usualMs)
  }

  #windowOf(peer: string): RequestWindow {
    const known = this.#windows.get(peer)
    if (known !== undefined) return known
    const window = new RequestWindow()
    this.#windows.set(peer, window)
    return window
  }
}

/** A number of 32 bits that depends on both. The constants are those of MurmurHash3's finalizer. */
export function mixed(id: string, block: number): number {
  let hash = Number.parseInt(id.slice(0, 8), 16) ^ Math.imul(block + 1, 0x9e3779b1)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
