import { randomNumbers } from '../random-numbers.ts'

/** One direction of a host's link. */
export interface LinkShape {
  readonly bitsPerSecond: number
  /** One way. */
  readonly delayMs: number
  /** Share of the packets that are lost, 0 to 1. */
  readonly loss: number
  /** What waits for its turn on the link; a packet that does not fit is dropped. */
  readonly queueBytes: number
}

/** What became of the packets of one direction. */
export interface LinkCounters {
  readonly packets: number
  readonly bytes: number
  /** Found the queue full. */
  readonly dropped: number
  /** Lost at random. */
  readonly lost: number
}

/**
 * A link in one direction: a drop-tail queue before a wire of a given rate, then a delay. Times are
 * milliseconds of one clock; nothing here waits. A packet leaves the queue at a moment that is known
 * when it enters, so no timer fires for the rate.
 */
export class LinkQueue<Packet> {
  #shape: LinkShape
  readonly #random: () => number
  /** When the last bit of what was accepted is on the wire. */
  #freeAt = 0
  /** Due times and packets, in order, from `#first` on. */
  #due: number[] = []
  #packets: Packet[] = []
  #first = 0
  readonly #counters = { packets: 0, bytes: 0, dropped: 0, lost: 0 }

  constructor(shape: LinkShape, seed: number) {
    this.#shape = shape
    this.#random = randomNumbers(seed)
  }

  set shape(shape: LinkShape) {
    this.#shape = shape
  }

  get counters(): LinkCounters {
    return { ...this.#counters }
  }

  /** When the next packet arrives at the other end; Infinity while none is under way. */
  get due(): number {
    return this.#due[this.#first] ?? Infinity
  }

  /** @returns whether the link took it. A packet that is lost on the wire uses its time all the same. */
  push(packet: Packet, bytes: number, now: number): boolean {
    const { bitsPerSecond, delayMs, loss, queueBytes } = this.#shape
    const bytesPerMs = bitsPerSecond / 8_000
    const starts = Math.max(now, this.#freeAt)
    if ((starts - now) * bytesPerMs + bytes > queueBytes) {
      this.#counters.dropped++
      return false
    }
    this.#freeAt = starts + bytes / bytesPerMs
    if (loss > 0 && this.#random() < loss) {
      this.#counters.lost++
      return false
    }
    this.#counters.packets++
    this.#counters.bytes += bytes
    // A delay that was made shorter must not let packets overtake.
    this.#due.push(Math.max(this.#freeAt + delayMs, this.#due.at(-1) ?? 0))
    this.#packets.push(packet)
    return true
  }

  /** Takes the packet that {@link due} speaks of. */
  shift(): Packet {
    const packet = this.#packets[this.#first]
    if (packet === undefined) throw new RangeError('nothing is under way')
    this.#first++
    if (this.#first === this.#due.length) {
      this.#due.length = this.#packets.length = this.#first = 0
    } else if (this.#first > 1_024 && this.#first * 2 > this.#due.length) {
      this.#due = this.#due.slice(this.#first)
      this.#packets = this.#packets.slice(this.#first)
      this.#first = 0
    }
    return packet
  }
}
