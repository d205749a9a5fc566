import { chunkBlocks } from '../../image/chunk/block-ranges.ts'
import { type BootProfile } from '../../image/format/boot-profile.ts'
import type { ChunkReader } from '../../image/chunk/chunk-reader.ts'
import { manifestParts, type Manifest } from '../../image/format/manifest.ts'
import type { Tree } from '../../image/tree/tree.ts'
import type { ImageReference } from '../../p2p/link.ts'
import { cachedBlocks } from './block-cache.ts'
import { REPLAY_WINDOW } from './block-prefetch.ts'
import { BlockReads } from './block-reads.ts'
import type { LocalChunkReuse } from './local-chunk-reuse.ts'
import type { ImageConnection } from '../connection/image-connection.ts'
import type {
  CheckedImage,
  ImageNews,
  ImageStats,
  InspectedImage,
  OpeningTiming,
  StartOrder,
  WaitingBlock
} from '../connection/image-session.ts'
import type { StartNote } from '../../rpc/start-note.ts'
import { METHODS } from '../../rpc/protocol.ts'
import { VersionReader } from '../../image/format/version-reader.ts'
import { StoredChunkReader } from './stored-chunk-reader.ts'

/** An open image with a decoded index. Disposing of it closes the connection. */
export class RemoteImageSession implements InspectedImage {
  readonly link: ImageReference
  readonly key: string
  readonly version: number
  readonly manifest: Manifest
  readonly tree: Tree
  chunks: ChunkReader
  readonly #connection: ImageConnection
  readonly #timeoutMs: number | undefined
  readonly #reads: BlockReads
  startOrder: StartOrder | undefined
  opening: OpeningTiming | undefined
  #donors: LocalChunkReuse | undefined

  constructor(
    connection: ImageConnection,
    tree: Tree,
    policy: { readonly timeoutMs: number | undefined }
  ) {
    this.#connection = connection
    this.#timeoutMs = policy.timeoutMs
    this.#reads = new BlockReads(connection, this.#timeoutMs)
    this.link = connection.link
    this.key = connection.key
    this.manifest = connection.manifest
    this.version = connection.manifest.version
    this.tree = tree
    const readBlock = cachedBlocks((block) => this.#reads.read(block))
    this.chunks = new StoredChunkReader(tree, readBlock, (block) => this.#readChecked(block))
  }

  checked(): CheckedImage {
    const readChecked = cachedBlocks((block) => this.#readChecked(block))
    return {
      chunks: new StoredChunkReader(this.tree, readChecked, readChecked),
      parts: async () => {
        for (const { block, blocks } of manifestParts(this.manifest)) {
          for (let n = 0; n < blocks; n++) await this.#readChecked(block + n)
        }
      }
    }
  }

  /** Takes chunks that are not here from other images that are; whose end is this session's. */
  reuse(donors: LocalChunkReuse): void {
    this.#donors = donors
    this.chunks = donors.before(this.chunks)
  }

  /** Fetches what starting reads, ahead of it. */
  prefetch(order: StartOrder): void {
    this.startOrder = order
    const { block } = this.tree.chunks
    const blocks = order.chunks
      .filter((chunk) => !this.#isReused(chunk))
      .map((chunk) => block[chunk] ?? 0)
    const window = order.source === 'guess' ? undefined : REPLAY_WINDOW
    this.#reads.fetchAhead(blocks, window)
  }

  get waiting(): Iterable<WaitingBlock> {
    return this.#reads.waiting
  }

  onWait(listener: () => void): void {
    this.#reads.onWait = listener
  }

  get isDaemonGone(): boolean {
    return this.#connection.goneMs !== undefined
  }

  cameAhead(chunk: number): boolean {
    return this.#reads.cameAhead(this.tree.chunks.block[chunk] ?? -1)
  }

  /** Asks the daemon to fetch in the background what is missing. */
  fetchRest(): Promise<void> {
    return this.#connection.fill(this.#ranges())
  }

  async fetchAll(signal?: AbortSignal): Promise<void> {
    // Another session of the image may replace what is being fetched: ask again until it is whole.
    do {
      await this.#connection.request(METHODS.fill, { ranges: this.#ranges(), wait: true }, signal)
    } while (!(await this.stats()).complete)
  }

  async chunkHashes(signal?: AbortSignal): Promise<Uint8Array> {
    return (await this.#reader(signal).chunkHashes()).hashes
  }

  async bootProfile(signal?: AbortSignal): Promise<BootProfile | undefined> {
    return this.#reader(signal).profile(this.tree.chunks.length)
  }

  get news(): ImageNews {
    return this.#connection.news
  }

  get fetchedBefore(): number {
    return this.#connection.fetchedBefore
  }

  freedVersions(): Promise<number[]> {
    return this.#connection.request(METHODS.freedVersions, {})
  }

  async heldChunks(patienceMs?: number): Promise<Uint8Array> {
    const known = this.manifest.versions.at(-1)?.blocks ?? 0
    const bits = await this.#connection.request(
      METHODS.holding,
      { blocks: known },
      undefined,
      patienceMs
    )
    return Uint8Array.from(this.tree.chunks.block, (block) =>
      ((bits[block >> 3] ?? 0) & (1 << (block & 7))) === 0 ? 0 : 1
    )
  }

  async holdsAll(chunks: readonly number[]): Promise<boolean> {
    const held = await this.heldChunks()
    return chunks.every((chunk) => held[chunk] === 1)
  }

  async noteStart(start: Omit<StartNote, 'handle'>): Promise<void> {
    await this.#connection.request(METHODS.noteStart, start)
  }

  async stats(patienceMs?: number): Promise<ImageStats> {
    const { index, storedBytes } = this.manifest
    const indexBytes = index.storedBytes + (index.base?.storedBytes ?? 0)
    const [counters, held] = await Promise.all([
      this.#connection.request(METHODS.stats, {}, undefined, patienceMs),
      this.heldChunks(patienceMs)
    ])
    const { chunks } = this.tree
    let localBytes = 0
    let reusedBytes = 0
    let complete = true
    for (let chunk = 0; chunk < chunks.length; chunk++) {
      const bytes = chunks.storedBytes[chunk] ?? 0
      if (held[chunk] === 1) localBytes += bytes
      else if (this.#isReused(chunk)) reusedBytes += bytes
      else complete = false
    }
    return {
      ...counters,
      imageBytes: storedBytes + indexBytes,
      localBytes: localBytes + indexBytes,
      reusedBytes,
      complete,
      startOrder: this.startOrder?.source ?? null
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#reads[Symbol.dispose]()
    await this.#donors?.[Symbol.asyncDispose]()
    this.#connection[Symbol.dispose]()
  }

  #readChecked(block: number): Promise<Buffer> {
    return this.#connection.readChecked(block, this.#timeoutMs)
  }

  /** The blocks of its chunks, of its chunk hashes (for reuse by other images) and of its profile. */
  #ranges(): [number, number][] {
    const { chunkHashes, profile } = this.manifest
    const parts = [chunkHashes, chunkHashes.base, profile].flatMap((part): [number, number][] =>
      part === undefined ? [] : [[part.block, part.blocks]]
    )
    return [...chunkBlocks(this.tree.chunks, (chunk) => !this.#isReused(chunk)), ...parts]
  }

  #reader(signal: AbortSignal | undefined): VersionReader {
    return new VersionReader(this.manifest, (block) =>
      this.#connection.readBlock(block, this.#timeoutMs, signal)
    )
  }

  #isReused(chunk: number): boolean {
    return this.#donors?.has(chunk) === true
  }
}
