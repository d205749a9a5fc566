import { isContainerError } from '../../core/errors.ts'
import { monotonicMs } from '../../core/monotonic-clock.ts'
import type { ImageConnection } from '../connection/image-connection.ts'
import type { WaitingBlock } from '../connection/image-session.ts'

/** Blocks that could not be had and are asked for on: they tell when peers are back. */
const MOST_LOST = 16

type AskOptions = Parameters<ImageConnection['readMounted']>[1]

/**
 * Reads of blocks, and which of them wait. A block that nobody gave in time is asked for on: as long
 * as it does not come the loss lasts, and others need not wait the whole time again.
 */
export class WaitingReads {
  readonly #ask: (block: number, options: AskOptions) => Promise<Buffer>
  readonly #timeoutMs: number | undefined
  readonly #blocks = new Set<{ block: number; sinceMs: number; hasFailed: boolean }>()
  readonly #lost = new Map<number, number>()
  /** Called when a block begins to be waited for. */
  onWait: (() => void) | undefined

  /** @param timeoutMs how long peers may be lost before reads fail; undefined waits for ever */
  constructor(
    ask: (block: number, options: AskOptions) => Promise<Buffer>,
    timeoutMs: number | undefined
  ) {
    this.#ask = ask
    this.#timeoutMs = timeoutMs
  }

  /** What is waited for now. */
  get blocks(): Iterable<WaitingBlock> {
    return this.#blocks
  }

  /** @throws ContainerError what asking throws */
  async read(block: number): Promise<Buffer> {
    const sinceMs = this.#lost.get(block) ?? monotonicMs()
    const waiting = { block, sinceMs, hasFailed: false }
    this.#blocks.add(waiting)
    this.onWait?.()
    try {
      return await this.#ask(block, { sinceMs, timeoutMs: this.#timeoutMs })
    } catch (error) {
      if (isContainerError(error, 'PEERS_UNREACHABLE', 'DAEMON_UNREACHABLE'))
        this.#askOn(block, sinceMs)
      throw error
    } finally {
      this.#blocks.delete(waiting)
    }
  }

  #askOn(block: number, sinceMs: number): void {
    if (this.#lost.has(block) || this.#lost.size >= MOST_LOST) return
    const waiting = { block, sinceMs, hasFailed: true }
    this.#lost.set(block, sinceMs)
    this.#blocks.add(waiting)
    this.onWait?.()
    this.#ask(block, { sinceMs, timeoutMs: undefined })
      // Whoever reads it again is told what is wrong.
      .catch(() => {})
      .finally(() => {
        this.#lost.delete(block)
        this.#blocks.delete(waiting)
      })
  }
}
