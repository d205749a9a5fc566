import type Hypercore from 'hypercore'
import { pause, sharedController } from '../../core/abort.ts'
import {
  blocksToGiveUp,
  blocksToTake,
  type RankedBlock,
  type ShareView
} from '../crowd/share-choice.ts'
import type { DriveCores } from '../drive/drive-cores.ts'
import { sizesOf } from '../store/block-sizes.ts'
import type { BlockFetcher } from './block-fetcher.ts'

/** Blocks that are chosen at once: what peers have changes meanwhile. */
const BATCH = 64
/** Blocks that are requested at once. */
const IN_FLIGHT = 8
/** How long a block may take before others are tried. */
const BLOCK_MS = 20_000
/** Pauses while there is nothing to do, the last one as long as that is so. Something new ends them. */
const IDLE_MS = [500, 1_000, 2_000, 5_000, 15_000, 30_000]
/** Peers that have just come have not told yet what they have. */
const TELL_MS = 300

export interface MirrorShareOptions {
  readonly cores: DriveCores
  readonly fetcher: BlockFetcher
  /** Public key of this machine, in hex. */
  readonly self: string
  /** Stored bytes that both logs may take. */
  readonly quotaBytes: number
  /** Whether there is room in the store. */
  readonly mayFill: () => boolean
  /** Called with stored bytes whose blocks were given up, before others take their place. */
  readonly onGivenUp: (bytes: number) => Promise<void>
}

/**
 * Keeps a share of a drive that is no larger than a quota: all entries, and the blocks of content that the fewest other
 * peers with a part have. Several such mirrors together hold all of it. A mirror that is full gives up a block that
 * others hold for one that nobody but complete peers has. Works without the drive's encryption key.
 */
export class MirrorShare implements AsyncDisposable {
  readonly #options: MirrorShareOptions
  readonly #blobs: Hypercore
  readonly #closed = sharedController()
  readonly #entries: { destroy(): void }
  /** Stored bytes of the blocks that are here. */
  readonly #sizes = new Map<number, number>()
  readonly #ended: Promise<void>
  #heldBytes = 0
  #wake: () => void = () => {}
  #isSettled = false

  constructor(options: MirrorShareOptions) {
    this.#options = options
    this.#blobs = options.cores.blobs
    this.#entries = options.cores.db.download({ start: 0, end: -1 })
    this.#blobs.on('download', this.#onDownload)
    this.#blobs.on('append', this.#onChange)
    this.#blobs.on('peer-add', this.#onChange)
    this.#blobs.on('peer-remove', this.#onChange)
    this.#ended = this.#run()
  }

  /** Whether it has what it is to keep: all blocks, or as many as the quota has room for. */
  get isComplete(): boolean {
    return this.#isSettled
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort(new Error('the mirror was closed'))
    this.#entries.destroy()
    this.#blobs.off('download', this.#onDownload)
    this.#blobs.off('append', this.#onChange)
    this.#blobs.off('peer-add', this.#onChange)
    this.#blobs.off('peer-remove', this.#onChange)
    await this.#ended
  }

  readonly #onDownload = (block: number, bytes: number): void => this.#add(block, bytes)

  readonly #onChange = (): void => {
    this.#wake()
  }

  #add(block: number, bytes: number): void {
    if (this.#sizes.has(block)) return
    this.#sizes.set(block, bytes)
    this.#heldBytes += bytes
  }

  async #run(): Promise<void> {
    const { signal } = this.#closed
    await this.#measure().catch(() => {})
    for (let idle = 0; !signal.aborted;) {
      if (this.#options.fetcher.listenToPeers()) await pause(TELL_MS, signal)
      // A log that is closed under it rejects, and this ends with it.
      const hasWorked = await this.#step().catch(() => false)
      this.#isSettled = !hasWorked && this.#blobs.length > 0 && !this.#lacksOffered()
      idle = hasWorked ? 0 : idle + 1
      if (!hasWorked) idle = (await this.#rest(idle)) ? 0 : idle
    }
  }

  /** @returns whether something new ended it */
  async #rest(idle: number): Promise<boolean> {
    let isWoken = false
    const woken = new Promise<void>((resolve) => {
      this.#wake = () => {
        isWoken = true
        resolve()
      }
    })
    const ms = IDLE_MS[Math.min(idle, IDLE_MS.length) - 1] ?? 0
    const rest = new AbortController()
    const either = AbortSignal.any([rest.signal, this.#closed.signal])
    await Promise.race([woken, pause(ms, either)])
    rest.abort()
    this.#wake = () => {}
    return isWoken
  }

  async #measure(): Promise<void> {
    const { length } = this.#blobs
    const here = Array.from({ length }, (_, block) => block).filter((block) => this.#isHere(block))
    for (const [block, bytes] of await sizesOf(this.#blobs, here)) this.#add(block, bytes)
  }

  /** @returns whether there was something to do */
  async #step(): Promise<boolean> {
    const room = this.#room
    if (room >= this.#usualBytes) return this.#take(room)
    return this.#swap()
  }

  async #take(room: number): Promise<boolean> {
    const most = Math.min(BATCH, Math.floor(room / this.#usualBytes))
    const chosen = blocksToTake(this.#view, most)
    return (await this.#fetch(chosen)) > 0
  }

  async #swap(): Promise<boolean> {
    const view = this.#view
    const rare = blocksToTake(view, BATCH).filter(({ copies }) => copies === 0)
    if (rare.length === 0) return false
    const common = blocksToGiveUp(view, rare.length)
    if (common.length === 0) return false
    let freed = 0
    for (const { block } of common) {
      const bytes = this.#sizes.get(block) ?? 0
      await this.#blobs.clear(block, block + 1)
      this.#sizes.delete(block)
      this.#heldBytes -= bytes
      freed += bytes
    }
    await this.#options.onGivenUp(freed)
    await this.#fetch(rare.slice(0, common.length))
    return true
  }

  /** @returns how many have come */
  async #fetch(chosen: readonly RankedBlock[]): Promise<number> {
    const queue = [...chosen]
    let came = 0
    const work = async (): Promise<void> => {
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
        const { signal } = this.#closed
        if (signal.aborted || this.#room <= 0 || !this.#options.mayFill()) return
        // Another mirror has taken it meanwhile; it is chosen again if it is still among the rarest.
        if (this.#copiesOf(next.block) > next.copies) continue
        const tooLate = AbortSignal.any([signal, AbortSignal.timeout(BLOCK_MS)])
        try {
          await this.#options.fetcher.read(next.block, { ahead: true, signal: tooLate })
          came++
        } catch {
          // The next round chooses anew, perhaps with other peers.
          if (!signal.aborted) await pause(TELL_MS, signal)
        }
      }
    }
    await Promise.all(Array.from({ length: IN_FLIGHT }, work))
    return came
  }

  /** Whether there is room for a block that a peer has. */
  #lacksOffered(): boolean {
    return this.#room >= this.#usualBytes && blocksToTake(this.#view, 1).length > 0
  }

  get #view(): ShareView {
    return {
      self: this.#options.self,
      length: this.#blobs.length,
      isHere: (block) => this.#isHere(block),
      peers: this.#options.fetcher.peers
    }
  }

  #copiesOf(block: number): number {
    return this.#options.fetcher.peers.filter((peer) => !peer.isWhole && peer.has(block)).length
  }

  #isHere(block: number): boolean {
    return this.#blobs.core.bitfield.get(block)
  }

  /** Bytes that the quota leaves. */
  get #room(): number {
    return this.#options.quotaBytes - this.#options.cores.db.byteLength - this.#heldBytes
  }

  /** Bytes of a block on average, at least 1. */
  get #usualBytes(): number {
    return Math.max(1, Math.ceil(this.#blobs.byteLength / Math.max(1, this.#blobs.length)))
  }
}
