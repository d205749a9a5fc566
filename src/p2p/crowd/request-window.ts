const FIRST = 2
const LEAST = 1
const MOST = 64
/** An answer that takes this much longer than the quickest one has waited in a queue. Milliseconds. */
const TARGET_QUEUE_MS = 400
const SMOOTHING = 0.2
/** How much smaller the window gets with each answer that waited in a queue. */
const QUEUED_STEP = 0.5

/**
 * How many requests one peer may have in flight: more while answers come promptly, fewer while they wait in a queue.
 * Like LEDBAT (RFC 6817), but in requests and not in bytes.
 */
export class RequestWindow {
  #size = FIRST
  #quickestMs = Infinity
  #usualMs = 0
  #heardMs = -Infinity

  get size(): number {
    return Math.floor(this.#size)
  }

  /** What an answer takes, on average. Milliseconds; 0 before the first one. */
  get usualMs(): number {
    return this.#usualMs
  }

  /** The peer has sent something that does not tell how long an answer takes. */
  heard(nowMs: number): void {
    this.#heardMs = nowMs
  }

  /** Begins anew, with few. */
  restart(): void {
    this.#size = FIRST
  }

  arrived(tookMs: number, nowMs: number): void {
    this.heard(nowMs)
    this.#quickestMs = Math.min(this.#quickestMs, tookMs)
    this.#usualMs += (tookMs - this.#usualMs) * (this.#usualMs === 0 ? 1 : SMOOTHING)
    const isQueued = tookMs > this.#quickestMs + TARGET_QUEUE_MS
    const change = isQueued ? -QUEUED_STEP : 1 / Math.sqrt(this.#size)
    this.#size = Math.min(Math.max(this.#size + change, LEAST), MOST)
  }

  /** An answer has not come for so long. It counts as one, but the peer has not been heard of. */
  late(waitedMs: number, nowMs: number): void {
    const heardMs = this.#heardMs
    this.arrived(waitedMs, nowMs)
    this.#heardMs = heardMs
  }

  /** Whether the peer owes answers and has given none for so long; asked from time to time, also while it owes none. */
  isStalled(inFlight: number, nowMs: number, patienceMs: number): boolean {
    if (inFlight === 0) this.#heardMs = nowMs
    else if (this.#heardMs === -Infinity) this.#heardMs = nowMs
    return nowMs - this.#heardMs > patienceMs
  }
}
