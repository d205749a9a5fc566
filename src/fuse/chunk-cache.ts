import type { ChunkReader } from '../image/chunk-reader.ts'

/**
 * Keeps the chunks read last, and lets everyone who waits for the same chunk share one read. The
 * kernel's page cache is the real cache; this one covers chunks that several kernel requests touch
 * in a row, and chunks read ahead.
 */
export class ChunkCache implements ChunkReader {
  readonly #source: ChunkReader
  readonly #capacityBytes: number
  /** In order of last use. */
  readonly #chunks = new Map<number, Uint8Array>()
  readonly #pending = new Map<number, Promise<Uint8Array>>()
  #bytes = 0

  /** @param capacityBytes decoded bytes to keep at most */
  constructor(source: ChunkReader, capacityBytes: number) {
    this.#source = source
    this.#capacityBytes = capacityBytes
  }

  has(chunk: number): boolean {
    return this.#chunks.has(chunk) || this.#pending.has(chunk)
  }

  async read(chunk: number, signal?: AbortSignal): Promise<Uint8Array> {
    const kept = this.#chunks.get(chunk)
    if (kept !== undefined) {
      this.#chunks.delete(chunk)
      this.#chunks.set(chunk, kept)
      return kept
    }
    const pending = this.#pending.get(chunk)
    if (pending !== undefined) return pending
    const read = this.#fetch(chunk, signal)
    this.#pending.set(chunk, read)
    return read
  }

  /** A failed read is not kept: the next one asks the source again. */
  async #fetch(chunk: number, signal?: AbortSignal): Promise<Uint8Array> {
    try {
      const content = await this.#source.read(chunk, signal)
      this.#keep(chunk, content)
      return content
    } finally {
      this.#pending.delete(chunk)
    }
  }

  #keep(chunk: number, content: Uint8Array): void {
    this.#chunks.set(chunk, content)
    this.#bytes += content.length
    for (const [oldest, { length }] of this.#chunks) {
      if (this.#bytes <= this.#capacityBytes) return
      this.#chunks.delete(oldest)
      this.#bytes -= length
    }
  }
}
