import type { Logger } from 'pino'
import type { ImageSession } from '../../session/connection/image-session.ts'
import type { WaitingBlock } from '../../session/connection/image-session.ts'
import { monotonicMs } from '../../core/monotonic-clock.ts'
import { findHolders, pathsOf } from '../../image/format/profile-places.ts'

/** The reason why reads of a mounted image wait. */
export interface Waiting {
  readonly for: 'peers' | 'daemon'
  /** ISO 8601, UTC. */
  readonly since: string
  /** Whether reads wait, or fail at once because the time-out is over. */
  readonly reads: 'wait' | 'fail'
}

/** Shorter waits are how an image comes over a network. */
const STALL_MS = 1_000
/** Lines that one stall may log; a program that reads on in spite of errors would fill the disk. */
const MOST_LOGGED = 64

/** How often waiting reads are looked at, while there are any. */
const LOOK_MS = 100

type Watched = Pick<ImageSession, 'tree' | 'manifest' | 'waiting' | 'onWait' | 'isDaemonGone'>

/** Reports and logs reads of an image that wait longer than a moment. It does nothing while no read waits. */
export class StallWatch implements Disposable {
  readonly #session: Watched
  readonly #reading: ReadonlySet<number>
  readonly #log: () => Promise<Logger>
  readonly #onChange: (waiting: Waiting | null) => void
  /** Blocks that were logged, since when they were waited for. */
  readonly #logged = new Map<number, number>()
  #current: Waiting | null = null
  #sinceMs = 0
  #timer: NodeJS.Timeout | undefined

  /**
   * @param reading chunks that are being read
   * @param log where to; asked for when it is needed first
   * @param onChange told when what reads wait for is another
   */
  constructor(
    session: Watched,
    reading: ReadonlySet<number>,
    log: () => Promise<Logger>,
    onChange: (waiting: Waiting | null) => void
  ) {
    this.#session = session
    this.#reading = reading
    this.#log = log
    this.#onChange = onChange
    session.onWait?.(() => this.#begin())
  }

  [Symbol.dispose](): void {
    this.#session.onWait?.(() => {})
    clearInterval(this.#timer)
  }

  #begin(): void {
    this.#timer ??= setInterval(() => this.#look(), LOOK_MS).unref()
  }

  /** As of the last look. */
  get current(): Waiting | null {
    return this.#current
  }

  #look(): void {
    const nowMs = monotonicMs()
    const stalled: WaitingBlock[] = []
    let isIdle = true
    for (const waiting of this.#session.waiting ?? []) {
      isIdle = false
      if (waiting.hasFailed || nowMs - waiting.sinceMs >= STALL_MS) stalled.push(waiting)
    }
    const before = this.#current
    this.#current = this.#describe(stalled, nowMs)
    if (before !== null || this.#current !== null) void this.#tell(stalled, nowMs).catch(() => {})
    if (JSON.stringify(before) !== JSON.stringify(this.#current)) this.#onChange(this.#current)
    if (!isIdle) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  #describe(stalled: readonly WaitingBlock[], nowMs: number): Waiting | null {
    if (stalled.length === 0) return null
    const sinceMs = Math.min(...stalled.map((waiting) => waiting.sinceMs))
    // Else the same time would be told in other milliseconds each time.
    const isSame = this.#current !== null && sinceMs === this.#sinceMs
    this.#sinceMs = sinceMs
    return {
      for: this.#session.isDaemonGone === true ? 'daemon' : 'peers',
      since: isSame
        ? (this.#current?.since ?? '')
        : new Date(Date.now() - (nowMs - sinceMs)).toISOString(),
      reads: stalled.some(({ hasFailed }) => hasFailed) ? 'fail' : 'wait'
    }
  }

  async #tell(stalled: readonly WaitingBlock[], nowMs: number): Promise<void> {
    const still = new Set(stalled.map(({ block }) => block))
    const ended = [...this.#logged].filter(([block]) => !still.has(block))
    const fresh = stalled.filter(({ block }) => !this.#logged.has(block))
    for (const [block] of ended) this.#logged.delete(block)
    const told = fresh.slice(0, Math.max(0, MOST_LOGGED - this.#logged.size))
    for (const { block, sinceMs } of told) this.#logged.set(block, sinceMs)
    if (told.length === 0 && ended.length === 0) return
    const paths = this.#pathsOf(told.map(({ block }) => block))
    const waitingFor = this.#current?.for
    const log = await this.#log()
    for (const { block, sinceMs } of told) {
      const waitedMs = Math.round(nowMs - sinceMs)
      log.warn({ block, path: paths.get(block), waitedMs, waitingFor }, 'a read waits')
    }
    for (const [block, sinceMs] of ended) {
      log.info({ block, waitedMs: Math.round(nowMs - sinceMs) }, 'a read that waited has ended')
    }
  }

  /** One path in the image for each block that holds content of a file: of what is read of it, if anything. */
  #pathsOf(blocks: readonly number[]): Map<number, string> {
    const { tree } = this.#session
    const wanted = new Set(blocks)
    const chunks = new Map<number, number>()
    for (let chunk = 0; chunk < tree.chunks.length; chunk++) {
      const block = tree.chunks.block[chunk] ?? -1
      if (!wanted.has(block)) continue
      if (this.#reading.has(chunk) || !chunks.has(block)) chunks.set(block, chunk)
    }
    const holders = findHolders(tree, new Set(chunks.values()))
    const paths = pathsOf(tree, new Set([...holders.values()].map(({ inode }) => inode)))
    const found = new Map<number, string>()
    for (const [block, chunk] of chunks) {
      const path = paths.get(holders.get(chunk)?.inode ?? -1)
      if (path !== undefined) found.set(block, `/${path.toString()}`)
    }
    return found
  }
}
