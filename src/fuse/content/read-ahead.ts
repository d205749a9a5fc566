import type { Extent } from '../../image/tree/tree.ts'
import type { ReadCache } from '../../image/chunk/read-cache.ts'
import { chunkAt } from './extent-search.ts'

/** Files whose position is remembered; more than a few are rarely read in sequence at once. */
const MAX_FILES = 64
/** Chunks asked for ahead of a sequential reader: the window doubles with every request. */
const FIRST_WINDOW_CHUNKS = 2
const MAX_WINDOW_CHUNKS = 32

interface Stream {
  /** Chunk position the next sequential request begins at or before. */
  next: number
  /** Chunks up to, not including, this position were asked for. */
  ahead: number
  window: number
}

/**
 * Notices files that are read from front to back, and asks for their next chunks before the kernel
 * does. The kernel's own read-ahead on the data device would do that too, but across files: it would
 * fetch the neighbours of every small file. A lone read fetches nothing more than it needs, and nor
 * does one that was foreseen: where it was recorded, what follows was too if it was read.
 */
export class ReadAhead {
  readonly #chunks: ReadCache
  readonly #foreseen: ReadonlySet<number>
  /** By inode, in order of last use. */
  readonly #streams = new Map<number, Stream>()

  /** @param foreseen chunks of a recorded start, which are fetched without this */
  constructor(chunks: ReadCache, foreseen: ReadonlySet<number> = new Set()) {
    this.#chunks = chunks
    this.#foreseen = foreseen
  }

  /** Tells of a read of the chunk positions `first` up to, not including, `last`. */
  observe(
    inode: number,
    extents: readonly Extent[],
    first: number,
    last: number,
    signal: AbortSignal
  ): void {
    const stream = this.#streams.get(inode)
    this.#streams.delete(inode)
    // A request within a chunk that was read already neither proves nor breaks a sequence.
    const sequential = stream !== undefined && first <= stream.next && last >= stream.next
    if (stream === undefined || !sequential) {
      this.#remember(inode, { next: last, ahead: last, window: FIRST_WINDOW_CHUNKS })
      return
    }
    this.#remember(inode, stream)
    if (last === stream.next) return
    stream.next = last
    const current = chunkAt(extents, last - 1)
    if (current !== undefined && this.#foreseen.has(current)) return
    const target = last + stream.window
    for (let position = Math.max(last, stream.ahead); position < target; position++) {
      const chunk = chunkAt(extents, position)
      if (chunk === undefined || this.#chunks.has(chunk)) continue
      // A later read of the chunk tries again and gets the error then.
      this.#chunks.read(chunk, signal).catch(() => {})
    }
    stream.ahead = Math.max(stream.ahead, target)
    stream.window = Math.min(stream.window * 2, MAX_WINDOW_CHUNKS)
  }

  #remember(inode: number, stream: Stream): void {
    this.#streams.set(inode, stream)
    if (this.#streams.size <= MAX_FILES) return
    for (const oldest of this.#streams.keys()) {
      this.#streams.delete(oldest)
      return
    }
  }
}
