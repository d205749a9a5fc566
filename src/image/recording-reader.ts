import type { ChunkReader } from './chunk-reader.ts'

/** Is told of every read of content. */
export interface ReadObserver {
  /** Before the content is there. */
  touched(chunk: number): void
  /** @param sinceMs of `process.hrtime`, in milliseconds, as is `untilMs` */
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

/** Milliseconds of a clock that all processes of a machine share and nobody sets. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}
