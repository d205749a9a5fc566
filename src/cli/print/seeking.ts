import type { InspectedImage } from '../../session/connection/image-session.ts'
import { monotonicMs } from '../../core/monotonic-clock.ts'
import type { Output } from './output.ts'

/** Shorter waits are not worth a line. */
const FIRST_LINE_MS = 2_000
const NEXT_LINE_MS = 15_000
const LOOK_MS = 500
const STALL_MS = 3_000

/**
 * Says on stderr that peers are being looked for, once that takes longer than a moment, and again from time to
 * time. Disposing ends it; so does {@link Seeking.found}.
 */
export class Seeking implements Disposable {
  readonly #output: Output
  readonly #what: string
  readonly #limit: string
  readonly #beganMs = monotonicMs()
  #timer: NodeJS.Timeout | undefined

  /**
   * @param limitMs how long they are looked for; undefined as long as it takes
   * @param offline nobody is looked for
   * @param what peers are to have. @default 'this image'
   */
  constructor(
    output: Output,
    limitMs: number | undefined,
    offline: boolean | undefined,
    what = 'this image'
  ) {
    this.#what = what
    this.#output = output
    this.#limit = limitMs === undefined ? '' : `, for up to ${seconds(limitMs)}`
    if (offline !== true) this.#next(FIRST_LINE_MS)
  }

  found(): void {
    clearTimeout(this.#timer)
  }

  [Symbol.dispose](): void {
    this.found()
  }

  #next(ms: number): void {
    const tell = (): void => {
      const since = seconds(monotonicMs() - this.#beganMs)
      this.#output.note(`looking for peers with ${this.#what}${this.#limit} (${since} so far)`)
      this.#next(NEXT_LINE_MS)
    }
    this.#timer = setTimeout(tell, ms).unref()
  }
}

/**
 * Says on stderr what reads of an opened image wait for, once that takes longer than a moment, and when it is over.
 *
 * @param limitMs after which such a read fails; undefined where it waits for ever
 */
export function tellStalls(
  output: Output,
  image: Pick<InspectedImage, 'waiting' | 'isDaemonGone'>,
  limitMs: number | undefined
): Disposable {
  let told: string | undefined
  const look = (): void => {
    const nowMs = monotonicMs()
    const isStalled = [...(image.waiting ?? [])].some(({ sinceMs }) => nowMs - sinceMs >= STALL_MS)
    const whom = image.isDaemonGone === true ? 'the daemon' : 'peers with the content'
    if (isStalled && told !== whom) {
      const limit = limitMs === undefined ? '' : `, and fails after ${seconds(limitMs)}`
      output.note(`a read waits for ${whom}${limit}`)
    }
    told = isStalled ? whom : undefined
  }
  const timer = setInterval(look, LOOK_MS).unref()
  return { [Symbol.dispose]: () => clearInterval(timer) }
}

function seconds(ms: number): string {
  return `${Math.round(ms / 1_000)} s`
}
