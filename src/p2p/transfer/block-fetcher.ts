import type Hypercore from 'hypercore'
import { ContainerError, isContainerError } from '../../core/errors.ts'
import { monotonicMs } from '../../core/monotonic-clock.ts'
import { damagedHere, isTransient, notHere } from './fetch-errors.ts'
import type { FetchCounters } from './fetch-counters.ts'
import type { Holder } from '../crowd/block-choice.ts'
import { Crowd } from '../crowd/crowd.ts'
import { Hedging } from './hedging.ts'
import { MissingBlocks } from './missing-blocks.ts'
import { lossDeadline, PeerLoss, type Ask } from './peer-loss.ts'
import { lackOffer } from './offers.ts'
import type { PeerNode } from '../peers/peer-node.ts'
import { StoredBlocks } from '../store/stored-blocks.ts'
import type { StoreSpace } from '../store/store-space.ts'
import { limitStoring } from '../store/unsound-store.ts'
import { fullDisk, lacksRoom } from '../store-error.ts'
import { pause, peerDeadline, sharedController, untilAborted } from '../../core/abort.ts'

/**
 * A block is called off and asked for anew when none of the log has arrived for so long: a peer may have gone
 * silent, or the store have dropped what came while the disk was full. Each time in a row it is twice as long: over a
 * slow link what is called off is sent all the same, before what is asked for next, so that nothing would ever
 * be in time.
 */
const SILENCE_MS = 8_000
const MOST_SILENCE_MS = 128_000
/** With others to ask, one block is not waited for longer than this either. */
const ATTEMPT_MS = 60_000
/** With no block arriving for so long while some are asked for, the store is looked at. */
const STALLED_MS = 2_500
const STALL_CHECK_MS = 500
/** After so long, other peers are looked for, too. */
const MISSED_MS = 1_000
/**
 * Background fetching keeps out of the way of reads that wait: what it has in flight is what a miss
 * queues behind. It starts when nobody has waited for this long, which a starting container never
 * reaches, and opens its window by one with every block that arrives.
 */
const QUIET_MS = 2_000
const FILL_WINDOW_FIRST = 2
/** Where several readers fetch at once and none of the blocks left is to be requested now, this is looked at so often. */
const CROWD_CHECK_MS = 100
/** How often it is looked whether there is room again. */
const ROOM_CHECK_MS = 200
/** Requests in flight at first when somebody waits for the whole image; the window then doubles in each round trip. */
const FILL_WINDOW_EAGER = 8
/** Blocks of some 50 KB: more than a link of 100 Mbit/s and 200 ms holds. */
const FILL_WINDOW_MOST = 64
/** A block that takes so much longer than the quickest did stood in a queue, where a miss would too. */
const QUEUED_MS = 1_000
/** The same while reads wait for blocks: fetching the whole image does not pause, but gives way. */
const EAGER_WINDOW_BUSY = 4
/**
 * A block that is waited for brings the one behind it along. Blocks stand in the order of files in
 * their directories, so what is next there is often read next, and is cheap with one that must come
 * anyway.
 */
const COMPANIONS = 3
const RETRY_PAUSE_MS = 100

/** `[first block, count]`, in the order in which they shall be fetched. */
export type BlockRange = readonly [number, number]

export interface ReadBlockOptions {
  readonly signal?: AbortSignal
  /** Give up with `PEERS_UNREACHABLE` after this; undefined waits for ever. */
  readonly timeoutMs?: number
  /**
   * For a read that shares its deadline with all that wait: when its reader first asked, by `monotonicMs`.
   * The time-out then runs from when peers were lost.
   */
  readonly sinceMs?: number
  /** Nobody waits for it yet: it counts as fetched ahead and brings no others along. @default false */
  readonly ahead?: boolean
  /** Is compared with the log's tree also where it is here already. @default false */
  readonly checked?: boolean
  /** Nobody is asked for it. @default false */
  readonly localOnly?: boolean
}

/**
 * Gets blocks of one log: those a reader waits for at once, each with a few that follow it, and the
 * rest in the background while nobody waits. The mounter reads ahead further: it
 * knows which file is read.
 */
export class BlockFetcher {
  readonly #core: Hypercore
  readonly #storage: string
  readonly #space: StoreSpace
  readonly #onWant: () => void
  /** Blocks that were read, the latest last. */
  readonly #touched = new Set<number>()
  readonly #demanded = new Set<number>()
  readonly #companions = new Set<number>()
  /** All but companions. */
  readonly #sought = new Set<number>()
  readonly #closed = sharedController()
  readonly #stored: StoredBlocks
  readonly #hedging: Hedging
  readonly #crowd: Crowd
  readonly #loss = new PeerLoss()
  #counters = { fetchedBytes: 0, demandBytes: 0, prefetchBytes: 0, demandReads: 0, stallMs: 0 }
  #waiting = 0
  #lastMiss = 0
  #lastArrival = 0
  #silenceMs = SILENCE_MS
  #fill: MissingBlocks | undefined
  #filling = 0
  #fillWindow = FILL_WINDOW_FIRST
  /** What the quickest block took in the background. */
  #quickestMs = Infinity
  #eager = false
  #fillTimer: NodeJS.Timeout | undefined
  #pumpsSoon = false
  #fillEnd: ((error?: Error) => void)[] = []

  /**
   * @param node whose store the log is in
   * @param options.wantsAll whether all blocks are wanted, also while nothing asks for them here @default false
   * @param options.onWant called when blocks begin to be waited for
   */
  constructor(
    core: Hypercore,
    node: PeerNode,
    { wantsAll = false, onWant = () => {} }: { wantsAll?: boolean; onWant?: () => void } = {}
  ) {
    this.#core = core
    this.#onWant = onWant
    this.#storage = node.storage
    this.#space = node.space
    limitStoring(core, () => node.space.mayStore)
    this.#stored = new StoredBlocks(core, node.health)
    this.#crowd = new Crowd({
      blobs: core,
      node,
      wantsBlocks: () =>
        this.wants !== 'nothing' || (wantsAll && core.contiguousLength < core.length),
      urgent: this.#demanded
    })
    this.#hedging = new Hedging(core, this.#crowd)
    core.on('download', this.#onDownload)
  }

  /** Connected peers that have the log open; which blocks they have is known once they were asked for that. */
  get peers(): readonly Holder[] {
    return this.#crowd.peers
  }

  /** {@link Crowd.listen} */
  listenToPeers(): boolean {
    return this.#crowd.listen()
  }

  /** Blocks that are here: those that were not read since the log was opened, then the others, the latest last. */
  coldestFirst(): number[] {
    const held: number[] = []
    for (let block = 0; block < this.#core.length; block++) {
      if (this.has(block) && !this.#touched.has(block)) held.push(block)
    }
    return [...held, ...[...this.#touched].filter((block) => this.has(block))]
  }

  /** Whether blocks are being fetched in the background. */
  get isFilling(): boolean {
    return this.#fill !== undefined
  }

  get counters(): FetchCounters {
    return { ...this.#counters, ...this.#stored.counters }
  }

  /** Whether blocks are waited for: by somebody who reads or pulls, or only to fill the image up. */
  get wants(): 'now' | 'later' | 'nothing' {
    if (this.#waiting > 0 || (this.#filling > 0 && this.#eager)) return 'now'
    return this.#filling > 0 || this.#fill !== undefined ? 'later' : 'nothing'
  }

  /** Whether blocks are waited for that no connected peer has, or none has given for a while. */
  get isShort(): boolean {
    if (this.#waiting > 0 && performance.now() - this.#lastArrival > MISSED_MS) return true
    return lackOffer(this.#core, this.#sought)
  }

  has(block: number): boolean {
    return this.#core.core.bitfield.get(block)
  }

  /**
   * One decrypted block, from this machine or from peers.
   *
   * @throws ContainerError `PEERS_UNREACHABLE` after `timeoutMs`, `BAD_BLOCK` where it was damaged here as well; the
   *   signal's reason
   */
  async read(block: number, options: ReadBlockOptions = {}): Promise<Buffer> {
    this.#touched.delete(block)
    this.#touched.add(block)
    if (!this.has(block)) return this.#fetch(block, options)
    // A block that is damaged is dropped, and not here then.
    const local = await this.#stored.read(block, options.checked === true)
    if (local) return local
    try {
      return await this.#fetch(block, options)
    } catch (cause) {
      if (!isContainerError(cause, 'PEERS_UNREACHABLE')) throw cause
      throw damagedHere(block, cause)
    }
  }

  /** @throws ContainerError `PEERS_UNREACHABLE` where blocks are not on this machine */
  checkHeld(ranges: readonly BlockRange[]): void {
    const missing = [...this.#missing(ranges)].length
    if (missing > 0) throw notHere(`${missing} blocks of this image are`)
  }

  async #fetch(block: number, options: ReadBlockOptions): Promise<Buffer> {
    if (options.localOnly) throw notHere(`block ${block} is`)
    return options.ahead === true ? this.#fetchAhead(block, options) : this.#demand(block, options)
  }

  /**
   * Fetches blocks in the background, in the order given, replacing what was asked for before.
   * Resolves when all have been fetched, or when replaced or closed.
   *
   * @param options.eager begin at once, not when reads have been quiet for a while @default false
   *
   * @throws ContainerError `DISK_FULL`
   */
  fill(ranges: readonly BlockRange[], { eager = false } = {}): Promise<void> {
    this.stopFill()
    this.#eager = eager
    this.#fillWindow = eager ? FILL_WINDOW_EAGER : FILL_WINDOW_FIRST
    this.#lastMiss = performance.now()
    this.#fill = new MissingBlocks(this.#missing(ranges), (block) => this.has(block))
    const ended = new Promise<void>((resolve, reject) => {
      this.#fillEnd.push((error) => (error ? reject(error) : resolve()))
    })
    this.#onWant()
    this.#pump()
    return ended
  }

  stopFill(error?: Error): void {
    this.#fill = undefined
    clearTimeout(this.#fillTimer)
    this.#fillTimer = undefined
    for (const end of this.#fillEnd.splice(0)) end(error)
  }

  close(): void {
    this.stopFill()
    this.#core.off('download', this.#onDownload)
    this.#stored[Symbol.dispose]()
    this.#hedging[Symbol.dispose]()
    this.#crowd[Symbol.dispose]()
    this.#closed.abort(new ContainerError('CANCELLED', 'the image was closed'))
  }

  readonly #onDownload = (index: number, bytes: number): void => {
    this.#lastArrival = performance.now()
    this.#loss.arrived(monotonicMs())
    this.#silenceMs = SILENCE_MS
    this.#counters.fetchedBytes += bytes
    this.#space.noteArrival(bytes)
    if (this.#demanded.has(index)) this.#counters.demandBytes += bytes
    else this.#counters.prefetchBytes += bytes
  }

  async #fetchAhead(block: number, { signal }: ReadBlockOptions): Promise<Buffer> {
    this.#filling++
    try {
      const { signal: closed } = this.#closed
      return await this.#untilFetched(block, signal ? AbortSignal.any([signal, closed]) : closed)
    } finally {
      this.#filling--
      // Filling up the image comes after all that is asked for.
      this.#lastMiss = performance.now()
    }
  }

  async #demand(block: number, options: ReadBlockOptions): Promise<Buffer> {
    const started = performance.now()
    const parent = options.signal
      ? AbortSignal.any([options.signal, this.#closed.signal])
      : this.#closed.signal
    const ask = this.#loss.begin(block, options.sinceMs ?? monotonicMs())
    const limit = this.#limit(ask, parent, options)
    this.#waiting++
    this.#counters.demandReads++
    this.#demanded.add(block)
    try {
      const found = this.#untilFetched(block, limit.signal)
      // After the block itself: peers answer in the order in which they are asked.
      this.#bringCompanions(block)
      return await found
    } finally {
      limit.clear()
      this.#loss.end(ask)
      this.#demanded.delete(block)
      this.#waiting--
      this.#lastMiss = performance.now()
      this.#counters.stallMs += this.#lastMiss - started
    }
  }

  #limit(
    ask: Ask,
    parent: AbortSignal,
    { timeoutMs, sinceMs }: ReadBlockOptions
  ): ReturnType<typeof peerDeadline> {
    if (timeoutMs === undefined) return { signal: parent, clear: () => {} }
    const what = `block ${ask.block}`
    if (sinceMs === undefined) return peerDeadline(parent, timeoutMs, what)
    const isThere = (block: number): boolean => !lackOffer(this.#core, [block])
    return lossDeadline(parent, timeoutMs, what, () => this.#loss.lostSinceMs(ask, isThere))
  }

  #bringCompanions(block: number): void {
    const end = Math.min(block + 1 + COMPANIONS, this.#core.length)
    for (let next = block + 1; next < end; next++) {
      if (this.has(next) || this.#demanded.has(next) || this.#companions.has(next)) continue
      this.#companions.add(next)
      this.#attempt(next, this.#closed.signal)
        .catch(() => {})
        .finally(() => this.#companions.delete(next))
    }
  }

  async #untilFetched(block: number, signal: AbortSignal): Promise<Buffer> {
    this.#sought.add(block)
    this.#onWant()
    try {
      for (;;) {
        signal.throwIfAborted()
        try {
          const found = await untilAborted(this.#attempt(block, signal), signal)
          if (found) return found
        } catch (error) {
          signal.throwIfAborted()
          if (isContainerError(error) || !isTransient(error)) throw error
        }
        await pause(RETRY_PAUSE_MS, signal)
      }
    } finally {
      this.#sought.delete(block)
    }
  }

  /** @throws ContainerError `DISK_FULL` when the store takes no more blocks */
  async #attempt(block: number, signal: AbortSignal): Promise<Buffer | null> {
    // A log that nobody asked anything of is not stalled.
    if (this.#waiting + this.#filling <= 1) this.#lastArrival = performance.now()
    const activeRequests: unknown[] = []
    const callOff = (): void => this.#core.core.replicator.clearRequests(activeRequests)
    signal.addEventListener('abort', callOff, { once: true })
    const started = performance.now()
    let timer: NodeJS.Timeout | undefined
    const storeFails = new Promise<never>((_resolve, reject) => {
      timer = setInterval(() => {
        const error = this.#storeFailure()
        if (error) reject(error)
        else if (this.#isHopeless(started)) {
          // The others under way stay so: what is on its way of those is still taken.
          this.#silenceMs = Math.min(this.#silenceMs * 2, MOST_SILENCE_MS)
          callOff()
        } else this.#hedging.hasten(started)
      }, STALL_CHECK_MS)
    })
    try {
      const found = await Promise.race([this.#core.get(block, { activeRequests }), storeFails])
      this.#hedging.note(performance.now() - started)
      return found
    } finally {
      clearInterval(timer)
      signal.removeEventListener('abort', callOff)
      // After a failure here, the next attempt is to ask again, and not to wait for this one's answer.
      callOff()
    }
  }

  #isHopeless(askedAt: number): boolean {
    const now = performance.now()
    if (now - askedAt > ATTEMPT_MS && this.#core.peers.length > 1) return true
    return now - Math.max(askedAt, this.#lastArrival) > this.#silenceMs
  }

  /**
   * hypercore says nothing when it cannot write a block: nothing more arrives, that is all. So when
   * there are peers and yet no progress, the disk is looked at.
   */
  #storeFailure(): ContainerError | undefined {
    const stalled = performance.now() - this.#lastArrival > STALLED_MS
    return stalled && this.#core.peers.length > 0 ? fullDisk(this.#storage) : undefined
  }

  #pump(): void {
    const fill = this.#fill
    if (!fill) return
    const quietFor = this.#waiting > 0 ? 0 : performance.now() - this.#lastMiss
    const window = this.#windowAfter(quietFor)
    while (this.#filling < window) {
      // What a running container waits for may take the last of the disk; this may not.
      const noRoom = lacksRoom(this.#storage) ?? this.#space.full
      if (noRoom) {
        this.stopFill(noRoom)
        return
      }
      if (!this.#space.mayFill) {
        // Something else is being evicted.
        this.#pumpAfter(ROOM_CHECK_MS)
        return
      }
      const isCrowd = this.#crowd.isBusy
      const next = isCrowd ? this.#crowd.pick(fill) : fill.takeFirst()
      if (next === undefined) {
        if (fill.size > 0) this.#pumpAfter(CROWD_CHECK_MS)
        else if (this.#filling === 0) this.stopFill()
        return
      }
      fill.take(next)
      this.#filling++
      void this.#fillOne(next)
      if (isCrowd) {
        // The next choice depends on whom this one has been requested from, which is not so yet.
        this.#pumpSoon()
        return
      }
    }
    if (window < FILL_WINDOW_MOST) this.#pumpAfter(Math.max(QUIET_MS - quietFor, STALL_CHECK_MS))
  }

  #pumpSoon(): void {
    if (this.#pumpsSoon) return
    this.#pumpsSoon = true
    setImmediate(() => {
      this.#pumpsSoon = false
      this.#pump()
    })
  }

  #pumpAfter(ms: number): void {
    this.#fillTimer ??= setTimeout(() => {
      this.#fillTimer = undefined
      this.#pump()
    }, ms)
  }

  async #fillOne(block: number): Promise<void> {
    const started = performance.now()
    try {
      await this.#untilFetched(block, this.#closed.signal)
      this.#adaptWindow(performance.now() - started)
    } catch (error) {
      if (isContainerError(error, 'DISK_FULL')) this.stopFill(error)
    } finally {
      this.#filling--
      this.#pump()
    }
  }

  /**
   * Grows while blocks come promptly and shrinks while they queue, as LEDBAT does (RFC 6817): what is in the
   * background fills the link, and not the queue before it.
   */
  #adaptWindow(tookMs: number): void {
    this.#quickestMs = Math.min(this.#quickestMs, tookMs)
    const change = tookMs > this.#quickestMs + QUEUED_MS ? -1 : 1
    const wanted = this.#fillWindow + change
    this.#fillWindow = Math.min(Math.max(wanted, FILL_WINDOW_FIRST), FILL_WINDOW_MOST)
  }

  #windowAfter(quietMs: number): number {
    if (this.#eager) {
      if (this.#waiting > 0) return EAGER_WINDOW_BUSY
      // Among several readers, and with peers of different speeds, each peer has a window of its own.
      return this.#crowd.isShared || this.#crowd.isUneven ? FILL_WINDOW_MOST : this.#fillWindow
    }
    if (quietMs >= QUIET_MS) return this.#fillWindow
    this.#fillWindow = FILL_WINDOW_FIRST
    return 0
  }

  *#missing(ranges: readonly BlockRange[]): Generator<number> {
    for (const [first, count] of ranges) {
      for (let block = first; block < first + count; block++) {
        if (!this.has(block)) yield block
      }
    }
  }
}
