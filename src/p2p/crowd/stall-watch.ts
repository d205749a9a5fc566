import { putYoungest } from '../../core/put-youngest.ts'

/** A peer that owes answers and sends nothing for this time, while others send, has stalled. */
const STALLED_MS = 10_000
/** After this it is not asked for more. */
const SUSPECT_MS = 2_000
const MOST_KEPT = 1_024
/** What is less may be what keeps a connection alive. */
const LEAST_BYTES = 4 * 1024

/** What is looked at of a connected peer. */
export interface WatchedPeer {
  /** Its public key, in hex. */
  readonly id: string
  /** How many requests of ours it has not answered. */
  readonly inFlight: number
  /** Bytes that came from it, over all its connections. */
  readonly bytesRead: number
}

interface Watch {
  /** When it last sent enough, or was first seen. */
  readonly sinceMs: number
  bytesRead: number
  /** For how long it has owed answers since then. */
  owedMs: number
  lookedMs: number
  isHere: boolean
}

/**
 * Finds peers that announce blocks and never send them. One that sends slowly is none of them, and neither is one that
 * stops when all others do: then it is the network. Pure: time is given.
 */
export class StallWatch {
  readonly #watches = new Map<string, Watch>()
  /** When each last sent something. */
  readonly #sentMs = new Map<string, number>()

  /** Looks at all connected peers; called about once a second. @returns those that have stalled */
  look(peers: readonly WatchedPeer[], nowMs: number): string[] {
    // One that has gone is not judged for that time, and comes back with what it owed.
    for (const watch of this.#watches.values()) watch.isHere = false
    for (const peer of peers) this.#note(peer, nowMs)
    for (const watch of this.#watches.values()) if (!watch.isHere) watch.lookedMs = nowMs
    const stalled = peers.filter(({ id }) => this.#hasOwed(id, STALLED_MS)).map(({ id }) => id)
    // They are dropped, and begin anew when they come back.
    for (const id of stalled) this.#watches.delete(id)
    return stalled
  }

  /** A block has come from a peer, however small. */
  arrived(id: string, nowMs: number): void {
    this.#sentMs.set(id, nowMs)
    const watch = this.#watches.get(id)
    if (watch) this.#watches.set(id, { ...watch, sinceMs: nowMs, owedMs: 0 })
  }

  /** Whether a peer may be about to stall: it is asked for nothing more, and others for what it owes. */
  isSuspect(id: string): boolean {
    return this.#hasOwed(id, SUSPECT_MS)
  }

  #note({ id, inFlight, bytesRead }: WatchedPeer, nowMs: number): void {
    const watch = this.#watches.get(id)
    // With one of its connections gone, fewer bytes are counted.
    const came = bytesRead - (watch?.bytesRead ?? bytesRead)
    const hasSent = came > LEAST_BYTES
    if (hasSent) this.#sentMs.set(id, nowMs)
    if (watch === undefined || hasSent) {
      this.#keep(id, { sinceMs: nowMs, bytesRead, owedMs: 0, lookedMs: nowMs, isHere: true })
      return
    }
    watch.isHere = true
    if (came < 0) watch.bytesRead = bytesRead
    // Requests that others have answered are called off, and a suspect is asked for no more: it does not owe less for that.
    if (inFlight > 0 || watch.owedMs >= SUSPECT_MS) watch.owedMs += nowMs - watch.lookedMs
    watch.lookedMs = nowMs
  }

  #hasOwed(id: string, ms: number): boolean {
    const { owedMs = 0, sinceMs = 0 } = this.#watches.get(id) ?? {}
    if (owedMs < ms) return false
    return [...this.#sentMs].some(([other, atMs]) => other !== id && atMs > sinceMs)
  }

  #keep(id: string, watch: Watch): void {
    const oldest = putYoungest(this.#watches, id, watch, MOST_KEPT)
    if (oldest !== undefined) this.#sentMs.delete(oldest)
  }
}
