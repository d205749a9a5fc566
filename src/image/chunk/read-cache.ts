/** Chunks or blocks by their number. */
export interface NumberedReader {
  read(number: number, signal?: AbortSignal): Promise<Uint8Array>
}

/**
 * Keeps what was read last, and lets everyone who waits for the same share one read. The kernel's page
 * cache is the real cache; this one covers chunks that several kernel requests touch in a row, chunks
 * read ahead, and blocks that several chunks share.
 */
export class ReadCache implements NumberedReader {
  readonly #source: NumberedReader
  readonly #capacityBytes: number
  /** In order of last use. */
  readonly #kept = new Map<number, Uint8Array>()
  readonly #pending = new Map<number, Promise<Uint8Array>>()
  #bytes = 0

  /** @param capacityBytes to keep at most */
  constructor(source: NumberedReader, capacityBytes: number) {
    this.#source = source
    this.#capacityBytes = capacityBytes
  }

  has(number: number): boolean {
    return this.#kept.has(number) || this.#pending.has(number)
  }

  async read(number: number, signal?: AbortSignal): Promise<Uint8Array> {
    const kept = this.#kept.get(number)
    if (kept !== undefined) {
      this.#kept.delete(number)
      this.#kept.set(number, kept)
      return kept
    }
    const pending = this.#pending.get(number)
    if (pending !== undefined) return pending
    const read = this.#fetch(number, signal)
    this.#pending.set(number, read)
    return read
  }

  /** A failed read is not kept: the next one asks the source again. */
  async #fetch(number: number, signal?: AbortSignal): Promise<Uint8Array> {
    try {
      const content = await this.#source.read(number, signal)
      this.#keep(number, content)
      return content
    } finally {
      this.#pending.delete(number)
    }
  }

  #keep(number: number, content: Uint8Array): void {
    this.#kept.set(number, content)
    this.#bytes += content.length
    for (const [oldest, { length }] of this.#kept) {
      if (this.#bytes <= this.#capacityBytes) return
      this.#kept.delete(oldest)
      this.#bytes -= length
    }
  }
}
