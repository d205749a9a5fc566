import { BackOff } from '../../core/back-off.ts'

/** Public keys of peers, in hex. */
export type AllowedPeers = ReadonlySet<string>

/** Why a peer was dropped: `lied` sent a block that does not fit its log, `stalled` owed blocks while others sent theirs. */
export type Misconduct = 'lied' | 'stalled'

/** A peer that was dropped, and how long it is left alone. */
export interface DroppedPeer {
  /** Hex. */
  readonly publicKey: string
  readonly why: Misconduct
  /** How often. */
  readonly times: number
  /** What is left of the time in which it is not connected with. Milliseconds; 0 where that is over. */
  readonly restMs: number
}

const FIRST_REST_MS = 5_000
const MOST_REST_MS = 60 * 60_000

/**
 * Decides with whom this machine connects, in either direction and by whichever way: the swarm, TCP, or an introduction.
 * A peer's key is proven by the handshake, so nobody can pass for another one.
 */
export class PeerGate {
  #allowed: AllowedPeers | undefined
  readonly #resting: BackOff
  readonly #why = new Map<string, Misconduct>()

  /**
   * @param allowed the only peers to connect with; undefined for everybody
   * @param now a clock in milliseconds. @default `performance.now`
   */
  constructor(allowed: AllowedPeers | undefined, now?: () => number) {
    this.#allowed = allowed
    this.#resting = new BackOff({ firstMs: FIRST_REST_MS, mostMs: MOST_REST_MS, now })
  }

  /** The only peers to connect with from now on; undefined for everybody. */
  set allowed(allowed: AllowedPeers | undefined) {
    this.#allowed = allowed
  }

  get allowed(): AllowedPeers | undefined {
    return this.#allowed
  }

  /** Whether only some peers may connect. */
  get isPrivate(): boolean {
    return this.#allowed !== undefined
  }

  /** Whether a peer is one of those that may connect. @param publicKey of its home */
  lists(publicKey: Uint8Array): boolean {
    return this.#allowed?.has(hex(publicKey)) ?? true
  }

  /** Whether to connect with a peer now. */
  allows(publicKey: Uint8Array): boolean {
    return this.lists(publicKey) && !this.#resting.isResting(hex(publicKey))
  }

  /** Leaves a peer alone for a while: 5 seconds, and twice as long each time, up to an hour. */
  drop(publicKey: Uint8Array, why: Misconduct): DroppedPeer {
    const key = hex(publicKey)
    const forgotten = this.#resting.note(key)
    if (forgotten !== undefined) this.#why.delete(forgotten)
    this.#why.set(key, why)
    return this.#droppedPeer(key, why)
  }

  /** Peers that were dropped since the daemon started, the latest last. */
  get dropped(): readonly DroppedPeer[] {
    return [...this.#why].map(([key, why]) => this.#droppedPeer(key, why))
  }

  #droppedPeer(publicKey: string, why: Misconduct): DroppedPeer {
    const { times, restMs } = this.#resting.of(publicKey)
    return { publicKey, why, times, restMs }
  }
}

function hex(publicKey: Uint8Array): string {
  return Buffer.from(publicKey).toString('hex')
}
