import { chunkBlocks } from '../image/block-ranges.ts'
import { decodeProfile, MAX_PROFILE_BYTES, type BootProfile } from '../image/boot-profile.ts'
import type { ChunkReader } from '../image/chunk-reader.ts'
import { readChunkHashes } from '../image/chunk-hashes.ts'
import { ContainerError, isContainerError } from '../image/errors.ts'
import { decompressPart, MAX_INDEX_BYTES } from '../image/index-codec.ts'
import { readPartBlocks } from '../image/image-part.ts'
import { readTree } from '../image/index-part.ts'
import type { Manifest, PartPointer } from '../image/manifest.ts'
import { monotonicMs } from '../image/monotonic-clock.ts'
import type { Tree } from '../image/tree.ts'
import { formatKey, parseFullLink } from '../p2p/link.ts'
import { pause } from '../p2p/waiting.ts'
import { cachedBlocks } from './block-cache.ts'
import { BlockPrefetch, REPLAY_WINDOW } from './block-prefetch.ts'
import { ChunkDonors } from './chunk-donors.ts'
import { openHome } from './home.ts'
import { ImageConnection } from './image-connection.ts'
import type {
  ImageStats,
  InspectedImage,
  OpenImageOptions,
  OpeningTiming,
  StartOrder
} from './image-session.ts'
import { readLocalProfile } from './local-profile.ts'
import { METHODS } from './protocol.ts'
import { chooseStartOrder, startOf } from './start-order.ts'
import { StoredChunkReader } from './stored-chunk-reader.ts'

const DEFAULT_PEER_TIMEOUT_MS = 30_000
/**
 * A block that is on its way is waited for so long before the daemon is told that somebody waits: told
 * at once, it would send most blocks twice.
 */
const ON_ITS_WAY_MS = 250
/** A profile that has not come this long after the index is done without. */
const PROFILE_GRACE_MS = 500

/**
 * Opens an image through the home's daemon, which is started when absent: manifest and index are
 * fetched, verified and decoded in this process; content follows on demand.
 *
 * @throws ContainerError `BAD_LINK`, `WRONG_SECRET`, `NOT_AN_IMAGE`, `UNSUPPORTED_VERSION`,
 *   `BAD_MANIFEST`, `BAD_INDEX`, `PEERS_UNREACHABLE`, `NOT_FOUND`, `CANCELLED`
 */
export async function openImage(options: OpenImageOptions): Promise<InspectedImage> {
  const peerTimeoutMs = options.peerTimeoutMs ?? DEFAULT_PEER_TIMEOUT_MS
  const paths = openHome(options.home)
  const beganMs = monotonicMs()
  const connection = await ImageConnection.open({
    paths,
    image: options.link,
    peerTimeoutMs,
    offline: options.offline ?? false,
    ...(options.signal ? { signal: options.signal } : {})
  })
  try {
    const { manifest } = connection
    const run = options.lazyOnly === true ? undefined : options.run
    const start = run === undefined ? undefined : startOf(manifest, run)
    const key = formatKey(parseFullLink(connection.link).key)
    const local = start === undefined ? undefined : readLocalProfile(paths, key, start)
    // Asked for at the same time, so that both take one round trip.
    const profile = start && readProfile(connection, peerTimeoutMs, options.signal)
    const tree = await readIndex(connection, peerTimeoutMs, options.signal)
    const session = new RemoteImageSession(connection, tree, {
      timeoutMs: options.onPeerLoss === 'fail' || options.offline ? peerTimeoutMs : undefined
    })
    if (options.reuse) await session.reuse(options.home, options.signal)
    if (start !== undefined) {
      const found = await Promise.race([profile, pause(PROFILE_GRACE_MS)])
      session.prefetch(chooseStartOrder(session, start, found?.(tree), await local))
    }
    session.opening = { ...connection.timing, beganMs, readyMs: monotonicMs() }
    if (!options.lazyOnly && !options.offline) await session.fetchRest()
    return session
  } catch (error) {
    connection[Symbol.dispose]()
    throw error
  }
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
  startOrder: StartOrder | undefined
  opening: OpeningTiming | undefined
  readonly #cameAhead = new Set<number>()
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
    const readBlock = cachedBlocks((block) => this.#readBlock(block))
    this.chunks = new StoredChunkReader(tree, readBlock)
  }

  /** Takes chunks that are not here from other images that are. */
  async reuse(home: string, signal: AbortSignal | undefined): Promise<void> {
    this.#donors = await ChunkDonors.find(this, home, openImage, signal)
    this.chunks = this.#donors.before(this.chunks)
  }

  /** Fetches what starting reads, ahead of it. */
  prefetch(order: StartOrder): void {
    this.startOrder = order
    const { block } = this.tree.chunks
    const blocks = order.chunks
      .filter((chunk) => !this.#isReused(chunk))
      .map((chunk) => block[chunk] ?? 0)
    const window = order.source === 'guess' ? undefined : REPLAY_WINDOW
    this.#prefetch = new BlockPrefetch((next) => this.#connection.readAhead(next), blocks, window)
  }

  cameAhead(chunk: number): boolean {
    return this.#cameAhead.has(this.tree.chunks.block[chunk] ?? -1)
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

  async bootProfile(signal?: AbortSignal): Promise<BootProfile | undefined> {
    const { profile } = this.manifest
    if (profile === undefined) return undefined
    const packed = await readPart(
      this.#connection,
      profile,
      this.#timeoutMs,
      signal,
      MAX_PROFILE_BYTES
    )
    return decodeProfile(packed, this.tree.chunks.length)
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
    const indexBytes = index.storedBytes + (index.base?.storedBytes ?? 0)
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
      imageBytes: storedBytes + indexBytes,
      localBytes: localBytes + indexBytes,
      reusedBytes,
      complete,
      startOrder: this.startOrder?.source ?? null
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#prefetch?.[Symbol.dispose]()
    await this.#donors?.[Symbol.asyncDispose]()
    this.#connection[Symbol.dispose]()
  }

  async #readBlock(block: number): Promise<Buffer> {
    const ahead = this.#prefetch?.take(block)
    if (ahead !== undefined) this.#cameAhead.add(block)
    if (ahead !== undefined && !(ahead instanceof Promise)) return ahead
    if (ahead !== undefined) {
      const soon = await Promise.race([ahead.catch(() => {}), pause(ON_ITS_WAY_MS)])
      if (soon !== undefined) return soon
    }
    // Asked again where it is still on its way: the daemon then knows that somebody waits, and how
    // long that may take. One request to the peers serves both.
    const read = this.#connection.readBlock(block, this.#timeoutMs)
    return ahead === undefined ? read : Promise.race([read, ahead.catch(() => read)])
  }

  /** What makes the image whole, what lets other images take content from it, and its profile. */
  #ranges(): [number, number][] {
    const { chunkHashes, profile } = this.manifest
    const parts = [chunkHashes, chunkHashes.base, profile].flatMap((part): [number, number][] =>
      part === undefined ? [] : [[part.block, part.blocks]]
    )
    return [...chunkBlocks(this.tree.chunks, (chunk) => !this.#isReused(chunk)), ...parts]
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
  return readTree(connection.manifest, (block) => connection.readBlock(block, timeoutMs, signal))
}

/**
 * The publisher's profile; it says only what to fetch first, so one that is damaged or not to be had
 * is none.
 *
 * @returns decodes it, once there is a tree
 */
async function readProfile(
  connection: ImageConnection,
  timeoutMs: number,
  signal: AbortSignal | undefined
): Promise<((tree: Tree) => BootProfile | undefined) | undefined> {
  const { profile } = connection.manifest
  if (profile === undefined) return undefined
  try {
    const packed = await readPart(connection, profile, timeoutMs, signal, MAX_PROFILE_BYTES)
    return (tree) => decodeOrUndefined(packed, tree)
  } catch (error) {
    if (isContainerError(error)) return undefined
    throw error
  }
}

function decodeOrUndefined(packed: Buffer, tree: Tree): BootProfile | undefined {
  try {
    return decodeProfile(packed, tree.chunks.length)
  } catch (error) {
    if (isContainerError(error)) return undefined
    throw error
  }
}

async function readPart(
  connection: ImageConnection,
  part: PartPointer,
  timeoutMs: number | undefined,
  signal: AbortSignal | undefined,
  limitBytes = MAX_INDEX_BYTES
): Promise<Buffer> {
  if (Math.max(part.storedBytes, part.bytes) > limitBytes) {
    throw new ContainerError('BAD_INDEX', 'a part of this image is larger than any may be')
  }
  const blocks = await readPartBlocks(part, (block) =>
    connection.readBlock(block, timeoutMs, signal)
  )
  try {
    return decompressPart(blocks, part, limitBytes)
  } catch (error) {
    if (isContainerError(error)) throw error
    throw new ContainerError('BAD_INDEX', 'the index of this image is damaged', { cause: error })
  }
}
