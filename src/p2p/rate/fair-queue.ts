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
 * Shreedhar, G. Varghese, "Efficient fair queuing using deficit round-robin", 1996).
 */
export class FairQueue<Item extends Waiting> {
  /** By peer; the first one has its turn. */
  readonly #flows = new Map<string, Flow<Item>>()

  add(item: Item): void {
    const flow = this.#flows.get(item.peer) ?? { images: new Map<string, Item[]>(), deficit: 0 }
    this.#flows.set(item.peer, flow)
    const waiting = flow.images.get(item.image)
    if (waiting) waiting.push(item)
    else flow.images.set(item.image, [item])
  }

  /** Takes the next one. */
  take(): Item | undefined {
    for (;;) {
      const [turn] = this.#flows
      if (turn === undefined) return undefined
      const [peer, flow] = turn
      const [first] = flow.images
      const item = first?.[1][0]
      if (first === undefined || item === undefined) {
        this.#flows.delete(peer)
        continue
      }
      if (flow.deficit < item.bytes) {
        flow.deficit += QUANTUM_BYTES
        this.#flows.delete(peer)
        this.#flows.set(peer, flow)
        continue
      }
      flow.deficit -= item.bytes
      const [image, waiting] = first
      waiting.shift()
      // The image that had its turn comes last.
      flow.images.delete(image)
      if (waiting.length > 0) flow.images.set(image, waiting)
      if (flow.images.size === 0) this.#flows.delete(peer)
      return item
    }
  }

  get isEmpty(): boolean {
    return this.#flows.size === 0
  }
}
