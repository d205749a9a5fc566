/** What a peer may send in its turn. A block fits. */
const QUANTUM_BYTES = 64 * 1024

/** Something that waits to be sent. */
export interface Waiting {
  /** For whom. */
  readonly peer: string
  /** The image that has it. */
  readonly image: string
  /** About how many bytes it has. */
  readonly bytes: number
}

interface Flow<Item> {
  /** By image; the first one is next. */
  readonly images: Map<string, Item[]>
  /** Bytes that it may still send in its turn. */
  deficit: number
}

/**
 * Answers that wait to be sent, peer by peer with equal bytes, and for each peer image by image: deficit round robin (M.
 * Shreedhar, G. Varghese, "Efficient fair queuing using deficit round-robin", 1996). A peer that asked for nothing for a
 * while has the first turn, so that one that asks for little waits little, as in FQ-CoDel (RFC 8290).
 */
export class FairQueue<Item extends Waiting> {
  /** By peer; the first one has its turn. Those of the second come when the first is empty. */
  readonly #fresh = new Map<string, Flow<Item>>()
  readonly #others = new Map<string, Flow<Item>>()
  #count = 0

  add(item: Item): void {
    let flow = this.#fresh.get(item.peer) ?? this.#others.get(item.peer)
    if (flow === undefined) {
      flow = { images: new Map<string, Item[]>(), deficit: QUANTUM_BYTES }
      this.#fresh.set(item.peer, flow)
    }
    const waiting = flow.images.get(item.image)
    if (waiting) waiting.push(item)
    else flow.images.set(item.image, [item])
    this.#count++
  }

  /** Takes the next one. */
  take(): Item | undefined {
    while (this.#count > 0) {
      const flows = this.#fresh.size > 0 ? this.#fresh : this.#others
      const [turn] = flows
      if (turn === undefined) return undefined
      const [peer, flow] = turn
      if (flow.deficit > 0 && flow.images.size > 0) return this.#takeOf(flow)
      flows.delete(peer)
      if (flow.deficit <= 0) flow.deficit += QUANTUM_BYTES
      else if (flows === this.#others) continue
      // Also one that is fresh and has nothing left: or it would come first each time that it asks.
      this.#others.set(peer, flow)
    }
    return undefined
  }

  get isEmpty(): boolean {
    return this.#count === 0
  }

  #takeOf(flow: Flow<Item>): Item | undefined {
    const [first] = flow.images
    const [image, waiting] = first ?? ['', []]
    const item = waiting.shift()
    // The image that had its turn comes last.
    flow.images.delete(image)
    if (waiting.length > 0) flow.images.set(image, waiting)
    if (item === undefined) return undefined
    flow.deficit -= item.bytes
    this.#count--
    return item
  }
}
