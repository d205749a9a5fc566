/** Numbers of slots that are free, handed out in order of asking. */
export class SlotQueue {
  readonly #free: number[]
  readonly #waiting: ((slot: number) => void)[] = []

  constructor(slots: number) {
    this.#free = Array.from({ length: slots }, (_, slot) => slot)
  }

  async take(): Promise<number> {
    const slot = this.#free.pop()
    if (slot !== undefined) return slot
    return await new Promise((resolve) => this.#waiting.push(resolve))
  }

  give(slot: number): void {
    const next = this.#waiting.shift()
    if (next) next(slot)
    else this.#free.push(slot)
  }
}
