import type { ChunkReader } from '../../image/chunk/chunk-reader.ts'
import { ContainerError } from '../../core/errors.ts'
import { RecordingChunkReader } from '../../image/chunk/recording-reader.ts'
import { CHUNK_BYTES, type Extent, type Tree } from '../../image/tree/tree.ts'
import { ReadCache } from '../../image/chunk/read-cache.ts'
import { chunkAt } from './extent-search.ts'
import type { MountContent, MountImageOptions } from './mounted-image.ts'
import { ReadAhead } from './read-ahead.ts'

/** Decoded content kept in front of the reader. */
const CACHE_BYTES = 16 * 1024 * 1024

/**
 * Reads byte ranges of files by joining decoded chunks; holes, and whatever lies past the end, are
 * zeros. Many reads run at once. A file read in sequence is read ahead, within that file only.
 */
export class FileReader {
  readonly #tree: Tree
  readonly #chunks: ChunkReader
  readonly #readAhead: ReadAhead
  readonly #closing = new AbortController()
  /** How to fail each read in flight. */
  readonly #inFlight = new Set<(error: ContainerError) => void>()
  /** The extents asked for last: the kernel reads a file in several requests. */
  #last: { inode: number; extents: readonly Extent[] } = { inode: -1, extents: [] }

  /**
   * @param options.observer is told of what is read here, and not of what is read ahead
   * @param options.foreseen chunks that are fetched ahead anyway
   */
  constructor(
    tree: Tree,
    chunks: ChunkReader,
    {
      observer,
      foreseen
    }: Pick<MountImageOptions, 'observer'> & Pick<MountContent, 'foreseen'> = {}
  ) {
    this.#tree = tree
    const cached = new ReadCache(chunks, CACHE_BYTES)
    this.#chunks = observer === undefined ? cached : new RecordingChunkReader(cached, observer)
    this.#readAhead = new ReadAhead(cached, foreseen)
  }

  /**
   * Fills `target` with the content of `inode` from `offset` on.
   *
   * @throws what the chunk reader throws; `CANCELLED` at once when closed
   */
  async read(inode: number, offset: number, target: Uint8Array): Promise<void> {
    const end = Math.min(offset + target.length, this.#tree.size(inode))
    const extents = this.#extents(inode)
    const first = Math.floor(offset / CHUNK_BYTES)
    const last = Math.ceil(end / CHUNK_BYTES)
    const reads: Promise<void>[] = []
    for (let position = first; position < last; position++) {
      const chunk = chunkAt(extents, position)
      const start = position * CHUNK_BYTES
      const from = Math.max(offset, start)
      const to = Math.min(end, start + CHUNK_BYTES)
      const piece = target.subarray(from - offset, to - offset)
      if (chunk === undefined) piece.fill(0)
      else reads.push(this.#copy(chunk, from - start, piece))
    }
    target.fill(0, Math.max(0, end - offset))
    this.#readAhead.observe(inode, extents, first, last, this.#closing.signal)
    if (reads.length > 0) await this.#orClosed(Promise.all(reads))
  }

  /** Waits, but no longer than until this reader is closed, whatever the chunk reader does. */
  async #orClosed(reads: Promise<unknown>): Promise<void> {
    let fail: ((error: ContainerError) => void) | undefined
    try {
      await new Promise<unknown>((resolve, reject) => {
        fail = reject
        this.#inFlight.add(reject)
        if (this.#closing.signal.aborted) reject(closedError())
        reads.then(resolve, reject)
      })
    } finally {
      if (fail !== undefined) this.#inFlight.delete(fail)
    }
  }

  async #copy(chunk: number, offset: number, target: Uint8Array): Promise<void> {
    const content = await this.#chunks.read(chunk, this.#closing.signal)
    // The kernel owns the target; once closed it is answered, and the memory may be gone.
    if (this.#closing.signal.aborted) return
    const piece = content.subarray(offset, offset + target.length)
    target.set(piece)
    target.fill(0, piece.length)
  }

  #extents(inode: number): readonly Extent[] {
    if (this.#last.inode !== inode) this.#last = { inode, extents: this.#tree.extents(inode) }
    return this.#last.extents
  }

  /** Fails every read in flight and every later one with `CANCELLED`. */
  close(): void {
    this.#closing.abort()
    for (const fail of this.#inFlight) fail(closedError())
  }
}

function closedError(): ContainerError {
  return new ContainerError('CANCELLED', 'the mount is being taken down')
}
