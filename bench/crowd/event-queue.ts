export interface SimulatedEvent {
  readonly atMs: number
  readonly run: () => void
}

/** Events in the order of their times; those of one time in the order in which they were added. A binary heap. */
export class EventQueue {
  readonly #heap: (SimulatedEvent & { readonly place: number })[] = []
  #added = 0

  add(atMs: number, run: () => void): void {
    const heap = this.#heap
    const event = { atMs, run, place: this.#added++ }
    let at = heap.push(event) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      const above = heap[parent]
      if (above === undefined || !isBefore(event, above)) break
      heap[at] = above
      at = parent
    }
    heap[at] = event
  }

  next(): SimulatedEvent | undefined {
    const heap = this.#heap
    const [first] = heap
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return first
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      const [left, right] = [heap[child], heap[child + 1]]
      if (left === undefined) break
      if (right !== undefined && isBefore(right, left)) child++
      const below = heap[child]
      if (below === undefined || !isBefore(below, last)) break
      heap[at] = below
      at = child
    }
    heap[at] = last
    return first
  }
}

function isBefore(
  one: { readonly atMs: number; readonly place: number },
  other: { readonly atMs: number; readonly place: number }
): boolean {
  return one.atMs < other.atMs || (one.atMs === other.atMs && one.place < other.place)
}
