import { putYoungest } from './put-youngest.ts'

/** So many names are remembered; the oldest go first. */
const MOST_KEPT = 1_024

export interface BackOffOptions {
  /** How long something rests after the first time. Milliseconds. */
  readonly firstMs: number
  /** The rest doubles each time, up to this. Milliseconds. */
  readonly mostMs: number
  /** A clock in milliseconds. @default `performance.now` */
  readonly now?: (() => number) | undefined
}

interface Noted {
  readonly times: number
  readonly atMs: number
}

/** Remembers what went wrong with peers, by name, and for how long each is therefore left alone. */
export class BackOff {
  readonly #options: BackOffOptions
  readonly #now: () => number
  readonly #byName = new Map<string, Noted>()

  constructor(options: BackOffOptions) {
    this.#options = options
    this.#now = options.now ?? (() => performance.now())
  }

  /** Notes that it went wrong again. @returns a name that is forgotten to make room, if any */
  note(name: string): string | undefined {
    const times = (this.#byName.get(name)?.times ?? 0) + 1
    return putYoungest(this.#byName, name, { times, atMs: this.#now() }, MOST_KEPT)
  }

  /** Whether it has gone wrong at all. */
  has(name: string): boolean {
    return this.#byName.has(name)
  }

  isResting(name: string): boolean {
    return this.of(name).restMs > 0
  }

  /** How often it went wrong, and what is left of its rest. Milliseconds. */
  of(name: string): { readonly times: number; readonly restMs: number } {
    const noted = this.#byName.get(name)
    if (noted === undefined) return { times: 0, restMs: 0 }
    const { firstMs, mostMs } = this.#options
    const restMs = Math.min(firstMs * 2 ** (noted.times - 1), mostMs)
    return { times: noted.times, restMs: Math.max(0, noted.atMs + restMs - this.#now()) }
  }
}
