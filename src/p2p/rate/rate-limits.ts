import type { ReplicatingPeer, RequestMessage } from 'hypercore/lib/replicator.js'
import { FairQueue, type Waiting } from './fair-queue.ts'
import { TokenBucket } from './token-bucket.ts'

/** How often it is looked whether more may pass, while something waits. */
const TICK_MS = 10
/** What a read waits for may be requested before its time by so much of the rate. Milliseconds. */
const URGENT_MS = 1_000
/** A log that has not requested anything for a while may request so many blocks before the others. */
const MOST_BEHIND_BLOCKS = 4
/** What is assumed of a block while nothing is known of its log. */
const USUAL_BLOCK_BYTES = 32 * 1024

export interface RateLimitsOptions {
  /** Bytes a second; undefined for no limit. */
  readonly maxUp: number | undefined
  readonly maxDown: number | undefined
  /** Bytes on the wire so far, over all connections. */
  readonly traffic: () => { readonly bytesRead: number; readonly bytesWritten: number }
}

/** A log whose blocks are requested under a limit. */
export interface LimitedLog {
  /** Bytes of a block on average. */
  readonly blockBytes: number
  /** Requests that were not answered. */
  readonly inFlight: number
  /** Requests what may be requested now. */
  request(): void
}

interface Answer extends Waiting {
  readonly from: ReplicatingPeer
  readonly message: RequestMessage
  readonly send: () => Promise<void>
}

/**
 * Bounds what a daemon sends and fetches, over all its connections. Answers with blocks wait in a queue that is fair between
 * peers and images; all other messages pass, and count. What is fetched is bounded by requesting no more than
 * may come; what reads wait for is requested before all else.
 */
export class RateLimits implements Disposable {
  readonly #options: RateLimitsOptions
  #up: TokenBucket | undefined
  #down: TokenBucket | undefined
  readonly #queue = new FairQueue<Answer>()
  /** Bytes that each has requested, to tell whose turn it is. */
  readonly #logs = new Map<LimitedLog, number>()
  /** Those that wait to request something. */
  readonly #refused = new Set<LimitedLog>()
  #counted = { bytesRead: 0, bytesWritten: 0 }
  /** Answers that are being read from the store. */
  #sendingBytes = 0
  #timer: NodeJS.Timeout | undefined

  constructor(options: RateLimitsOptions) {
    this.#options = options
    this.#up = bucketOf(options.maxUp)
    this.#down = bucketOf(options.maxDown)
  }

  /** Other rates from now on, in bytes a second; undefined for no limit. What waits goes on at the new ones. */
  limit({ maxUp, maxDown }: Pick<RateLimitsOptions, 'maxUp' | 'maxDown'>): void {
    // What has passed so far does not count.
    this.#count(performance.now())
    if (maxUp !== this.#up?.bytesPerSecond) this.#up = bucketOf(maxUp)
    if (maxDown !== this.#down?.bytesPerSecond) this.#down = bucketOf(maxDown)
    this.#tickSoon()
  }

  /** Bytes a second; null for no limit. */
  get rates(): { readonly maxUp: number | null; readonly maxDown: number | null } {
    return {
      maxUp: this.#up?.bytesPerSecond ?? null,
      maxDown: this.#down?.bytesPerSecond ?? null
    }
  }

  /**
   * Sends the answer to a request for a block when it is its turn; at once without a limit.
   *
   * @param send reads and sends it
   */
  answer(from: ReplicatingPeer, message: RequestMessage, send: () => Promise<void>): Promise<void> {
    // The first request of a log also asks for its length: nothing can go on without that.
    if (this.#up === undefined || message.block === null || message.upgrade !== null) return send()
    // A peer cancels a request by its number.
    from.remoteRequests.set(message.id, message)
    const { byteLength, length } = from.core.state
    this.#queue.add({
      peer: from.remotePublicKey.toString('hex'),
      image: from.core.discoveryKey.toString('hex'),
      bytes: length > 0 ? Math.ceil(byteLength / length) : USUAL_BLOCK_BYTES,
      from,
      message,
      send
    })
    this.#pump()
    return Promise.resolve()
  }

  /** Has a log's requests counted. @returns ends that */
  add(log: LimitedLog): () => void {
    this.#logs.set(log, 0)
    return () => {
      this.#logs.delete(log)
      this.#refused.delete(log)
    }
  }

  /**
   * Whether a block may be requested now; if not, {@link LimitedLog.request} is called when it may.
   *
   * @param isUrgent a read waits for it
   */
  mayRequest(log: LimitedLog, isUrgent: boolean): boolean {
    if (this.#down === undefined) return true
    const now = performance.now()
    this.#count(now)
    let comingBytes = 0
    for (const { inFlight, blockBytes } of this.#logs.keys()) comingBytes += inFlight * blockBytes
    const early = isUrgent ? (this.#down.bytesPerSecond * URGENT_MS) / 1_000 : 0
    const hasRoom = this.#down.at(now) + early - comingBytes > 0
    if (hasRoom && (isUrgent || this.#hasTurn(log))) {
      this.#logs.set(log, this.#requestedBy(log) + log.blockBytes)
      return true
    }
    this.#refused.add(log)
    this.#tickSoon()
    return false
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#logs.clear()
    this.#refused.clear()
  }

  #pump(): void {
    const now = performance.now()
    this.#count(now)
    while (!this.#queue.isEmpty && this.#maySendBytes(now) > 0) {
      const next = this.#queue.take()
      if (next === undefined) break
      const { from, message, bytes, send } = next
      if (from.remoteRequests.get(message.id) !== message || !from.remoteOpened) continue
      from.remoteRequests.delete(message.id)
      this.#sendingBytes += bytes
      send()
        .catch((error: Error) => from.stream.destroy(error))
        .finally(() => {
          this.#sendingBytes -= bytes
          this.#pump()
        })
    }
    if (!this.#queue.isEmpty) this.#tickSoon()
  }

  #maySendBytes(now: number): number {
    return this.#up === undefined ? Infinity : this.#up.at(now) - this.#sendingBytes
  }

  #tickSoon(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      this.#pump()
      const refused = this.#inTurn()
      this.#refused.clear()
      for (const log of refused) log.request()
    }, TICK_MS)
  }

  #requestedBy(log: LimitedLog): number {
    return this.#logs.get(log) ?? 0
  }

  /** Whether no other log that waits has requested less. */
  #hasTurn(log: LimitedLog): boolean {
    for (const other of this.#refused) {
      if (other !== log && this.#requestedBy(other) < this.#requestedBy(log)) return false
    }
    return true
  }

  /** Logs that wait, the one that has requested least first: it may take all that may pass now. */
  #inTurn(): LimitedLog[] {
    const refused = [...this.#refused]
    const most = Math.max(0, ...refused.map((log) => this.#requestedBy(log)))
    for (const log of refused) {
      // What it did not ask for before is not made up for.
      const least = most - MOST_BEHIND_BLOCKS * log.blockBytes
      if (this.#requestedBy(log) < least) this.#logs.set(log, least)
    }
    return refused.toSorted((one, other) => this.#requestedBy(one) - this.#requestedBy(other))
  }

  /** Takes what has passed since the last time out of the buckets. */
  #count(now: number): void {
    const { bytesRead, bytesWritten } = this.#options.traffic()
    this.#up?.take(bytesWritten - this.#counted.bytesWritten, now)
    this.#down?.take(bytesRead - this.#counted.bytesRead, now)
    this.#counted = { bytesRead, bytesWritten }
  }
}

function bucketOf(bytesPerSecond: number | undefined): TokenBucket | undefined {
  return bytesPerSecond === undefined
    ? undefined
    : new TokenBucket(bytesPerSecond, performance.now())
}
