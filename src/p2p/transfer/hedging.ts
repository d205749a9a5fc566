import type { CorePeer, default as Hypercore } from 'hypercore'
import { replaceMethod } from '../library-seams.ts'

/** Nothing is late sooner than this. */
const LEAST_PATIENCE_MS = 500
/** Late is what takes so many times as long as usual. */
const PATIENCE_TIMES = 2
/** All blocks that are late are looked at together, and no more often than this. */
const LEAST_PAUSE_MS = 250
/**
 * How much one block counts in what is usual, where it came sooner than that and where it came later: what is
 * usual of the quick peers is asked for.
 */
const SMOOTHING = { sooner: 0.3, later: 0.03 }

/** What is known of peers, and told of them. */
export interface PeerJudge {
  /** Whether a peer seems not to send what it owes: then it is late at once. */
  isSuspect(peer: CorePeer): boolean
  /** A peer has not sent a block in good time. @param waitedMs how long it has been waited for */
  noteLate(peer: CorePeer, waitedMs: number): void
}

/**
 * Asks a second peer for blocks that are late, and only for those. Left to itself, hypercore asks each further
 * peer at once for whatever another one has been asked for: from two peers alike, a pull then got 1.75 times
 * its bytes, no sooner than from one; and it does so only when something arrives, so that the last blocks of
 * a slow peer are waited for.
 */
export class Hedging implements Disposable {
  readonly #core: Hypercore
  #usualMs = 0
  #hastenedMs = -Infinity

  constructor(core: Hypercore, judge: PeerJudge) {
    this.#core = core
    const queue = core.core.replicator.hotswaps
    const isLate = (since: number): boolean => Date.now() - since > this.#patienceMs
    // That of another session of this log may be in its place.
    Reflect.deleteProperty(queue, 'pick')
    replaceMethod('HotswapQueue.pick', queue, (usual) => {
      return function* (peer) {
        // Over another connection with the same peer, while one takes the other's place, a block comes by the same
        // link, and behind the first.
        const isOther = (asked: CorePeer): boolean =>
          !asked.remotePublicKey.equals(peer.remotePublicKey)
        for (const block of usual.call(queue, peer)) {
          const { inflight } = block
          const isMissed = inflight.every(
            (asked) =>
              isOther(asked.peer) && (isLate(asked.timestamp) || judge.isSuspect(asked.peer))
          )
          if (!isMissed) continue
          const [asked] = inflight
          if (inflight.length === 1 && asked) {
            judge.noteLate(asked.peer, Date.now() - asked.timestamp)
          }
          yield block
        }
      }
    })
  }

  /** A block came, so long after it was asked for. */
  note(tookMs: number): void {
    const { sooner, later } = SMOOTHING
    if (this.#usualMs === 0) this.#usualMs = tookMs
    else this.#usualMs += (tookMs - this.#usualMs) * (tookMs < this.#usualMs ? sooner : later)
  }

  /** Has peers take over what is late at others by now. @param askedAt of `performance.now()` */
  hasten(askedAt: number): void {
    const { peers, core } = this.#core
    const now = performance.now()
    if (peers.length < 2 || now - askedAt < this.#patienceMs) return
    if (now - this.#hastenedMs < LEAST_PAUSE_MS) return
    this.#hastenedMs = now
    for (const peer of peers) core.replicator.updatePeer(peer)
  }

  get #patienceMs(): number {
    return Math.max(LEAST_PATIENCE_MS, this.#usualMs * PATIENCE_TIMES)
  }

  [Symbol.dispose](): void {
    // What the prototype has shows again.
    Reflect.deleteProperty(this.#core.core.replicator.hotswaps, 'pick')
  }
}
