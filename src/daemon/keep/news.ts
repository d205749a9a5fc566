import { pause } from '../../core/abort.ts'

/** Has one that looks again and again look at once when there is something new, also when it comes while it looks. */
export class News {
  #isThere = false
  #wake = (): void => {}

  /** There may be something new. */
  note(): void {
    this.#isThere = true
    this.#wake()
  }

  /** What comes from now on is new. */
  taken(): void {
    this.#isThere = false
  }

  /** Rests for so long, or until there is something new or the signal aborts. */
  async rest(ms: number, signal: AbortSignal): Promise<void> {
    if (this.#isThere) return
    const woken = new AbortController()
    this.#wake = () => woken.abort()
    await pause(ms, AbortSignal.any([woken.signal, signal]))
  }
}
