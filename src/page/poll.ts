import type { PageView } from '../rpc/page-protocol.ts'

/** How it stands with the daemon. */
export type Standing = 'asking' | 'live' | 'locked' | 'gone'

export interface PollEvents {
  readonly onView: (view: PageView) => void
  readonly onStanding: (standing: Standing) => void
}

const GIVE_UP_MS = 10_000
const RETRY_MS = 2_000

/**
 * Asks the daemon again and again, each time after the last answer, and not while the page is hidden. So a slow browser or
 * daemon is asked less often, and a page that nobody looks at costs nothing.
 */
export class Poll {
  readonly #events: PollEvents
  #token: string | undefined
  #query = ''
  #wake: () => void = () => {}
  #isRenewed = false

  constructor(token: string | undefined, events: PollEvents) {
    this.#token = token
    this.#events = events
    document.addEventListener('visibilitychange', () => this.#wake())
  }

  /** Goes on with another token. */
  unlock(token: string): void {
    this.#token = token
    this.again()
  }

  /** Asks for an image or a start, too, at once. */
  select(kind: 'image' | 'start', id: string): void {
    const query = `?${kind}=${encodeURIComponent(id)}`
    if (query === this.#query) return
    this.#query = query
    this.again()
  }

  again(): void {
    this.#isRenewed = true
    this.#wake()
  }

  async run(): Promise<never> {
    for (;;) {
      while (document.hidden) {
        this.#isRenewed = false
        await this.#pause(Infinity)
      }
      this.#isRenewed = false
      await this.#pause(await this.#ask())
    }
  }

  /** @returns how long not to ask, in milliseconds */
  async #ask(): Promise<number> {
    if (this.#token === undefined) return this.#refused()
    try {
      const response = await fetch(`api/view${this.#query}`, {
        headers: { authorization: `Bearer ${this.#token}` },
        cache: 'no-store',
        signal: AbortSignal.timeout(GIVE_UP_MS)
      })
      if (response.status === 401) return this.#refused()
      if (!response.ok) throw new Error(`status ${response.status}`)
      const view = (await response.json()) as PageView
      this.#events.onStanding('live')
      this.#events.onView(view)
      return view.againMs
    } catch {
      this.#events.onStanding('gone')
      return RETRY_MS
    }
  }

  #refused(): number {
    this.#events.onStanding('locked')
    return Infinity
  }

  async #pause(ms: number): Promise<void> {
    if (this.#isRenewed) return
    let timer: number | undefined
    await new Promise<void>((resolve) => {
      this.#wake = resolve
      if (ms !== Infinity) timer = window.setTimeout(resolve, ms)
    })
    clearTimeout(timer)
  }
}
