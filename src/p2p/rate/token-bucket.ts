/** The bucket holds what comes in so long: a link that was idle may catch up by so much. Milliseconds. */
const BURST_MS = 300
/** A block has to fit, or nothing would be sent at a low rate. */
const LEAST_BURST_BYTES = 64 * 1024

/** Bytes that may pass in a second on average. Time is given, of `performance.now`. */
export class TokenBucket {
  readonly bytesPerSecond: number
  readonly #mostBytes: number
  #bytes: number
  #atMs: number

  constructor(bytesPerSecond: number, nowMs: number) {
    this.bytesPerSecond = bytesPerSecond
    this.#mostBytes = Math.max(LEAST_BURST_BYTES, (bytesPerSecond * BURST_MS) / 1_000)
    this.#bytes = this.#mostBytes
    this.#atMs = nowMs
  }

  /** What may pass now. Below 0 by what has passed too soon. */
  at(nowMs: number): number {
    const came = (Math.max(0, nowMs - this.#atMs) * this.bytesPerSecond) / 1_000
    this.#bytes = Math.min(this.#mostBytes, this.#bytes + came)
    this.#atMs = nowMs
    return this.#bytes
  }

  /** Bytes have passed. */
  take(bytes: number, nowMs: number): void {
    this.at(nowMs)
    this.#bytes -= bytes
  }
}
