import type { ChunkReader } from './chunk-reader.ts'
import { monotonicMs } from '../../core/monotonic-clock.ts'

/** Is told of every read of content. */
export interface ReadObserver {
  /** Before the content is there. */
  touched(chunk: number): void
  /** @param sinceMs of `monotonicMs`, as is `untilMs` */
  waited(chunk: number, sinceMs: number, untilMs: number): void
}

/** Tells an observer of every read, and of how long it took. The outermost of the readers. */
export class RecordingChunkReader implements ChunkReader {
  readonly #source: ChunkReader
  readonly #observer: ReadObserver

  constructor(source: ChunkReader, observer: ReadObserver) {
    this.#source = source
    this.#observer = observer
  }

  async read(chunk: number, signal?: AbortSignal): Promise<Uint8Array> {
    this.#observer.touched(chunk)
    const sinceMs = monotonicMs()
    try {
      return await this.#source.read(chunk, signal)
    } finally {
      this.#observer.waited(chunk, sinceMs, monotonicMs())
    }
  }
}
