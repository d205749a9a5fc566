import { type BootProfile } from '../../image/format/boot-profile.ts'
import { isContainerError } from '../../core/errors.ts'
import { decodeIndex } from '../../image/format/index-codec.ts'
import { type StoredIndex } from '../../image/format/index-part.ts'
import type { Manifest, StartCommand } from '../../image/format/manifest.ts'
import { monotonicMs } from '../../core/monotonic-clock.ts'
import type { Tree } from '../../image/tree/tree.ts'
import type { ImageReference } from '../../p2p/link.ts'
import { pause } from '../../core/abort.ts'
import { LocalChunkReuse } from '../read/local-chunk-reuse.ts'
import { openHome } from '../../home/home.ts'
import { ImageConnection } from '../connection/image-connection.ts'
import type {
  ImageNews,
  InspectedImage,
  OpenImageOptions,
  OpeningImage
} from '../connection/image-session.ts'
import { readLocalProfile, type LocalProfile } from '../../home/local-profile.ts'
import { RemoteImageSession } from '../read/remote-session.ts'
import { chooseStartOrder, startOf } from './start-order.ts'
import { VersionReader } from '../../image/format/version-reader.ts'

const DEFAULT_PEER_TIMEOUT_MS = 30_000
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
  const opening = await beginOpening(options)
  try {
    return await opening.open()
  } catch (error) {
    await opening[Symbol.asyncDispose]()
    throw error
  }
}

/**
 * Begins {@link openImage}: returns once the manifest has arrived.
 *
 * @throws ContainerError as {@link openImage}
 */
export async function beginOpening(
  options: OpenImageOptions
): Promise<OpeningImage<InspectedImage>> {
  const beganMs = monotonicMs()
  const connection = await ImageConnection.open({
    paths: openHome(options.home),
    image: options.link,
    peerTimeoutMs: timeoutOf(options),
    offline: options.offline ?? false,
    ...(options.signal ? { signal: options.signal } : {})
  })
  try {
    return new RemoteOpening(connection, options, beganMs)
  } catch (error) {
    connection[Symbol.dispose]()
    throw error
  }
}

function timeoutOf({ peerTimeoutMs = DEFAULT_PEER_TIMEOUT_MS }: OpenImageOptions): number {
  return peerTimeoutMs
}

class RemoteOpening implements OpeningImage<InspectedImage> {
  readonly link: ImageReference
  readonly key: string
  readonly version: number
  readonly manifest: Manifest
  readonly news: ImageNews
  readonly #connection: ImageConnection
  readonly #options: OpenImageOptions
  readonly #beganMs: number
  readonly #start: StartCommand | undefined
  readonly #local: Promise<LocalProfile | undefined> | undefined
  readonly #profile: ReturnType<typeof readProfile> | undefined
  readonly #arrived: Promise<void>
  /** Until it is decoded: it may be large. */
  #index: Promise<StoredIndex> | undefined
  #arrivedMs: number | undefined
  #session: Promise<RemoteImageSession> | undefined

  constructor(connection: ImageConnection, options: OpenImageOptions, beganMs: number) {
    const { manifest, link, key } = connection
    this.#connection = connection
    this.#options = options
    this.#beganMs = beganMs
    this.link = link
    this.key = key
    this.manifest = manifest
    this.news = connection.news
    this.version = manifest.version
    const run = options.lazyOnly === true ? undefined : options.run
    this.#start = run === undefined ? undefined : startOf(manifest, run)
    this.#local = this.#start && readLocalProfile(openHome(options.home), this.key, this.#start)
    // Asked for at the same time, so that both take one round trip.
    const reader = new VersionReader(manifest, (block) =>
      connection.readBlock(block, timeoutOf(options), options.signal)
    )
    this.#profile = this.#start && readProfile(reader)
    const index = reader.index()
    this.#index = index
    this.#arrived = this.#noteArrival(index)
    // The code that awaits them gets the error.
    for (const coming of [this.#local, this.#profile, this.#arrived]) coming?.catch(() => {})
  }

  arrived(): Promise<void> {
    return this.#arrived
  }

  async #noteArrival(index: Promise<StoredIndex>): Promise<void> {
    await index
    this.#arrivedMs = monotonicMs()
  }

  open(): Promise<InspectedImage> {
    this.#session ??= this.#open(monotonicMs())
    return this.#session
  }

  async #open(askedMs: number): Promise<RemoteImageSession> {
    const options = this.#options
    const wasHereMs = this.#arrivedMs
    const { packed } = await this.#index!
    this.#index = undefined
    const tree = decodeIndex(packed)
    const session = new RemoteImageSession(this.#connection, tree, {
      timeoutMs: options.onPeerLoss === 'fail' || options.offline ? timeoutOf(options) : undefined
    })
    if (options.reuse) {
      const { home, signal } = options
      session.reuse(await LocalChunkReuse.find(session, home, openImage, signal))
    }
    if (this.#start !== undefined) {
      const found = await Promise.race([this.#profile, pause(PROFILE_GRACE_MS)])
      session.prefetch(chooseStartOrder(session, this.#start, found?.(tree), await this.#local))
    }
    const openMs = monotonicMs()
    session.opening = {
      ...this.#connection.timing,
      beganMs: this.#beganMs,
      readyMs: wasHereMs ?? openMs,
      ...(wasHereMs !== undefined && { decoding: [askedMs, openMs] })
    }
    if (!options.lazyOnly && !options.offline) await session.fetchRest()
    return session
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // First, so that nothing is waited for.
    this.#connection[Symbol.dispose]()
    const session = await this.#session?.catch(() => undefined)
    await session?.[Symbol.asyncDispose]()
  }
}

/**
 * The publisher's profile; it says only what to fetch first, so one that is damaged or not to be had
 * is none.
 *
 * @returns decodes it, once there is a tree
 */
async function readProfile(
  reader: VersionReader
): Promise<((tree: Tree) => BootProfile | undefined) | undefined> {
  const decode = await reader.packedProfile().catch(noneIfRefused)
  return (
    decode &&
    ((tree) => {
      try {
        return decode(tree.chunks.length)
      } catch (error) {
        return noneIfRefused(error)
      }
    })
  )
}

function noneIfRefused(error: unknown): undefined {
  if (!isContainerError(error)) throw error
}
