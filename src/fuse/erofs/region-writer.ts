import type { FileHandle } from 'node:fs/promises'

/** Buffered bytes above which a region asks to be flushed. */
const FLUSH_BYTES = 1024 * 1024

/** Writes a region of a file front to back through a buffer. What is skipped reads as zeros. */
export class RegionWriter {
  readonly #file: FileHandle
  #buffer = Buffer.alloc(2 * FLUSH_BYTES)
  /** File offset of the buffer's first byte. */
  #start: number
  #used = 0

  /** @param start file offset of the region's first byte */
  constructor(file: FileHandle, start: number) {
    this.#file = file
    this.#start = start
  }

  /** Whether enough is buffered that {@link flush} is due; until then memory grows. */
  get full(): boolean {
    return this.#used >= FLUSH_BYTES
  }

  /** Zeroed memory for the next `bytes` bytes; good until the next call. */
  take(bytes: number): Buffer {
    const end = this.#used + bytes
    if (end > this.#buffer.length) {
      const grown = Buffer.alloc(Math.max(end, this.#buffer.length * 2))
      grown.set(this.#buffer.subarray(0, this.#used))
      this.#buffer = grown
    }
    const memory = this.#buffer.subarray(this.#used, end)
    this.#used = end
    return memory
  }

  /** Goes forward to the file offset `position`. */
  skipTo(position: number): void {
    this.take(position - this.#start - this.#used)
  }

  async flush(): Promise<void> {
    const bytes = this.#buffer.subarray(0, this.#used)
    let written = 0
    while (written < bytes.length) {
      const position = this.#start + written
      written += (await this.#file.write(bytes, written, bytes.length - written, position))
        .bytesWritten
    }
    bytes.fill(0)
    this.#start += this.#used
    this.#used = 0
  }
}
