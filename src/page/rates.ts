/** Bytes so far, at one time. */
interface Sample {
  readonly atMs: number
  readonly sentBytes: number
  readonly receivedBytes: number
}

/** Bytes a second at one time. */
export interface Rate {
  readonly atMs: number
  readonly sent: number
  readonly received: number
}

/** The chart shows so much at most. */
const SHOWN_MS = 300_000
/** Over less, a few blocks look like a fast link. */
const LEAST_MS = 900
/** A rate is a mean over at least this long, so that it is calm. */
const MEAN_MS = 2_500

/** What was sent and received since the page was opened, and how fast. */
export class Rates {
  #samples: Sample[] = []

  add(sample: Sample): void {
    const last = this.#samples.at(-1)
    if (last !== undefined && sample.atMs < last.atMs + LEAST_MS) return
    // A daemon that was started anew counts from 0.
    const isBack =
      last !== undefined &&
      sample.sentBytes + sample.receivedBytes < last.sentBytes + last.receivedBytes
    const before = isBack ? [] : this.#samples
    this.#samples = [
      ...before.filter(({ atMs }) => atMs >= sample.atMs - SHOWN_MS - MEAN_MS),
      sample
    ]
  }

  /** Now; nothing before the second sample. */
  get current(): Rate {
    return this.#at(this.#samples.length - 1) ?? { atMs: 0, sent: 0, received: 0 }
  }

  /** All that is shown, in order. */
  get all(): Rate[] {
    return this.#samples.flatMap((_sample, n) => this.#at(n) ?? [])
  }

  #at(n: number): Rate | undefined {
    const to = this.#samples[n]
    if (to === undefined || n === 0) return undefined
    let first = n - 1
    while (first > 0 && (this.#samples[first]?.atMs ?? 0) > to.atMs - MEAN_MS) first--
    const from = this.#samples[first]
    if (from === undefined) return undefined
    const seconds = (to.atMs - from.atMs) / 1_000
    return {
      atMs: to.atMs,
      sent: (to.sentBytes - from.sentBytes) / seconds,
      received: (to.receivedBytes - from.receivedBytes) / seconds
    }
  }
}

/** Rates of several things, by their names; those that are gone are forgotten. */
export class RatesOf {
  #rates = new Map<string, Rates>()

  /** Adds what all of them have now. */
  add(samples: ReadonlyMap<string, Sample>): void {
    this.#rates = new Map(
      [...samples].map(([name, sample]) => {
        const rates = this.#rates.get(name) ?? new Rates()
        rates.add(sample)
        return [name, rates]
      })
    )
  }

  of(name: string): Rates {
    return this.#rates.get(name) ?? new Rates()
  }
}
