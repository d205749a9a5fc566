import { monotonicMs } from '../../core/monotonic-clock.ts'
import { sharedController, unreachable } from '../../core/abort.ts'

/** A block that somebody asks peers for. */
export interface Ask {
  readonly block: number
  /** When it was first asked for, by `monotonicMs`. */
  readonly sinceMs: number
}

/**
 * Since when the peers of one log have been gone. All reads share the deadline that runs from there:
 * the kernel asks for one missing block many times, page by page, and each time may not take as long.
 */
export class PeerLoss {
  readonly #asks = new Set<Ask>()
  #arrivedMs = -Infinity

  /** Notes that a block is asked for, until {@link end}. */
  begin(block: number, sinceMs: number): Ask {
    const ask = { block, sinceMs }
    this.#asks.add(ask)
    return ask
  }

  end(ask: Ask): void {
    this.#asks.delete(ask)
  }

  /** A block has come, whichever. */
  arrived(nowMs: number): void {
    this.#arrivedMs = nowMs
  }

  /**
   * Since when nobody could be asked for this block: others that were asked for before it and that
   * nobody has either tell so, and so does a silence in which nothing at all has come.
   *
   * @param isThere whether a connected peer says that it has a block
   * @returns not later than the block was asked for; of `monotonicMs`
   */
  lostSinceMs(ask: Ask, isThere: (block: number) => boolean): number {
    let oldest = ask.sinceMs
    let oldestAbsent = ask.sinceMs
    const isAbsent = !isThere(ask.block)
    for (const { block, sinceMs } of this.#asks) {
      oldest = Math.min(oldest, sinceMs)
      if (isAbsent && sinceMs < oldestAbsent && !isThere(block)) oldestAbsent = sinceMs
    }
    const silentSinceMs = Math.max(oldest, this.#arrivedMs)
    return Math.min(ask.sinceMs, silentSinceMs, oldestAbsent)
  }
}

/**
 * A signal that aborts with `parent`, or with `PEERS_UNREACHABLE` when peers have been lost for
 * `timeoutMs`; at once where they have been already.
 *
 * @param lostSinceMs asked again when the time seems to be up
 */
export function lossDeadline(
  parent: AbortSignal,
  timeoutMs: number,
  what: string,
  lostSinceMs: () => number
): { signal: AbortSignal; clear: () => void } {
  const controller = sharedController()
  let timer: NodeJS.Timeout | undefined
  const onParent = (): void => controller.abort(parent.reason)
  const look = (): void => {
    const leftMs = lostSinceMs() + timeoutMs - monotonicMs()
    if (leftMs <= 0) controller.abort(unreachable(what, timeoutMs))
    // What is waited for keeps the process alive; its deadline alone must not.
    else timer = setTimeout(look, Math.ceil(leftMs)).unref()
  }
  if (parent.aborted) onParent()
  else look()
  parent.addEventListener('abort', onParent, { once: true })
  const clear = (): void => {
    clearTimeout(timer)
    parent.removeEventListener('abort', onParent)
  }
  return { signal: controller.signal, clear }
}
