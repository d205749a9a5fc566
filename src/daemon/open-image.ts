import { chunkBlocks } from '../image/block-ranges.ts'
import { guessBootOrder } from '../image/boot-order.ts'
import type { ChunkReader } from '../image/chunk-reader.ts'
import { readChunkHashes } from '../image/chunk-hashes.ts'
import { ContainerError, isContainerError } from '../image/errors.ts'
import { decodeIndex, decompressPart, MAX_INDEX_BYTES } from '../image/index-codec.ts'
import type { Manifest, PartPointer, StartCommand } from '../image/manifest.ts'
import type { Tree } from '../image/tree.ts'
import { formatKey, parseFullLink } from '../p2p/link.ts'
import { BlockPrefetch } from './block-prefetch.ts'
import { ChunkDonors } from './chunk-donors.ts'
import { openHome } from './home.ts'
import { ImageConnection } from './image-connection.ts'
import type { ImageStats, InspectedImage, OpenImageOptions } from './image-session.ts'
import { METHODS } from './protocol.ts'
import { StoredChunkReader } from './stored-chunk-reader.ts'

const DEFAULT_PEER_TIMEOUT_MS = 30_000

/**
 * Opens an image through the home's daemon, which is started when absent: manifest and index are
 * fetched, verified and decoded in this process; content follows on demand.
 *
 * @throws ContainerError `BAD_LINK`, `WRONG_SECRET`, `NOT_AN_IMAGE`, `UNSUPPORTED_VERSION`,
 *   `BAD_MANIFEST`, `BAD_INDEX`, `PEERS_UNREACHABLE`, `NOT_FOUND`, `CANCELLED`
 */
export async function openImage(options: OpenImageOptions): Promise<InspectedImage> {
  const peerTimeoutMs = options.peerTimeoutMs ?? DEFAULT_PEER_TIMEOUT_MS
  const connection = await ImageConnection.open({
    paths: openHome(options.home),
    image: options.link,
    peerTimeoutMs,
    offline: options.offline ?? false,
    ...(options.signal ? { signal: options.signal } : {})
  })
  try {
    const tree = await readIndex(connection, peerTimeoutMs, options.signal)
    const session = new RemoteImageSession(connection, tree, {
      timeoutMs: options.onPeerLoss === 'fail' || options.offline ? peerTimeoutMs : undefined
    })
    if (options.reuse) await session.reuse(options.home, options.signal)
    if (!options.lazyOnly) {
      if (options.run !== undefined) session.prefetch(startOf(session.manifest, options.run))
      if (!options.offline) await session.fetchRest()
    }
    return session
  } catch (error) {
    connection[Symbol.dispose]()
    throw error
  }
}

function startOf({ start }: Manifest, run: NonNullable<OpenImageOptions['run']>): StartCommand {
  if (run === 'image') return start
  return run === 'boot' ? { mode: 'boot' } : { mode: 'process', argv: run }
}

class RemoteImageSession implements InspectedImage {
  readonly link: string
  readonly key: string
  readonly version: number
  readonly manifest: Manifest
  readonly tree: Tree
  chunks: ChunkReader
  readonly #connection: ImageConnection
  readonly #timeoutMs: number | undefined
  #prefetch: BlockPrefetch | undefined
  #donors: ChunkDonors | undefined

  constructor(
    connection: ImageConnection,
    tree: Tree,
    policy: { readonly timeoutMs: number | undefined }
  ) {
    this.#connection = connection
    this.#timeoutMs = policy.timeoutMs
    this.link = connection.link
    this.key = formatKey(parseFullLink(connection.link).key)
    this.manifest = connection.manifest
    this.version = connection.manifest.version
    this.tree = tree
    this.chunks = new StoredChunkReader(tree, (block, signal) => this.#readBlock(block, signal))
  }

  /** Takes chunks that are not here from other images that are. */
  async reuse(home: string, signal: AbortSignal | undefined): Promise<void> {
    this.#donors = await ChunkDonors.find(this, home, openImage, signal)
    this.chunks = this.#donors.before(this.chunks)
  }

  /** Fetches what starting reads, ahead of it. */
  prefetch(start: StartCommand): void {
    const { block } = this.tree.chunks
    const blocks = guessBootOrder(this.tree, start)
      .filter((chunk) => !this.#isReused(chunk))
      .map((chunk) => block[chunk] ?? 0)
    this.#prefetch = new BlockPrefetch((next) => this.#connection.readAhead(next), blocks)
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
    const { hashes } = await readChunkHashes(this.manifest, (part) =>
      readPart(this.#connection, part, this.#timeoutMs, signal)
    )
    return hashes
  }

  async heldChunks(): Promise<Uint8Array> {
    const known = this.manifest.versions.at(-1)?.blocks ?? 0
    const bits = await this.#connection.request(METHODS.holding, { blocks: known })
    return Uint8Array.from(this.tree.chunks.block, (block) =>
      ((bits[block >> 3] ?? 0) & (1 << (block & 7))) === 0 ? 0 : 1
    )
  }

  async stats(): Promise<ImageStats> {
    const { index, storedBytes } = this.manifest
    const [counters, held] = await Promise.all([
      this.#connection.request(METHODS.stats, {}),
      this.heldChunks()
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
      imageBytes: storedBytes + index.storedBytes,
      localBytes: localBytes + index.storedBytes,
      reusedBytes,
      complete
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#prefetch?.[Symbol.dispose]()
    await this.#donors?.[Symbol.asyncDispose]()
    this.#connection[Symbol.dispose]()
  }

  async #readBlock(block: number, signal?: AbortSignal): Promise<Buffer> {
    const ahead = this.#prefetch?.take(block)
    if (ahead !== undefined && !(ahead instanceof Promise)) return ahead
    // Asked again where it is still on its way: the daemon then knows that somebody waits, and how
    // long that may take. One request to the peers serves both.
    const read = this.#connection.readBlock(block, this.#timeoutMs, signal)
    return ahead === undefined ? read : Promise.race([read, ahead.catch(() => read)])
  }

  /** What makes the image whole, and what lets other images take content from it. */
  #ranges(): [number, number][] {
    const { block, blocks, base } = this.manifest.chunkHashes
    const hashes: [number, number][] = [[block, blocks]]
    if (base !== undefined) hashes.push([base.block, base.blocks])
    return [...chunkBlocks(this.tree.chunks, (chunk) => !this.#isReused(chunk)), ...hashes]
  }

  #isReused(chunk: number): boolean {
    return this.#donors?.has(chunk) === true
  }
}

async function readIndex(
  connection: ImageConnection,
  timeoutMs: number,
  signal: AbortSignal | undefined
): Promise<Tree> {
  return decodeIndex(await readPart(connection, connection.manifest.index, timeoutMs, signal))
}

async function readPart(
  connection: ImageConnection,
  part: PartPointer,
  timeoutMs: number | undefined,
  signal: AbortSignal | undefined
): Promise<Buffer> {
  if (part.storedBytes > MAX_INDEX_BYTES) {
    throw new ContainerError('BAD_INDEX', 'the index of this image is larger than any may be')
  }
  // One round trip: all of its blocks are asked for at once.
  const blocks = await Promise.all(
    Array.from({ length: part.blocks }, (_, n) =>
      connection.readBlock(part.block + n, timeoutMs, signal)
    )
  )
  try {
    return decompressPart(blocks, part, MAX_INDEX_BYTES)
  } catch (error) {
    if (isContainerError(error)) throw error
    throw new ContainerError('BAD_INDEX', 'the index of this image is damaged', { cause: error })
  }
}
