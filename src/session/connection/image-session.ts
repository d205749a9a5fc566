import type { BootProfile } from '../../image/format/boot-profile.ts'
import type { ChunkReader } from '../../image/chunk/chunk-reader.ts'
import type { Manifest } from '../../image/format/manifest.ts'
import type { Tree } from '../../image/tree/tree.ts'
import type { ImageReference } from '../../p2p/link.ts'
import type { StartNote } from '../../rpc/start-note.ts'
import type { OpenTiming, StatsResponse } from '../../rpc/protocol.ts'

/** A block that is waited for: by a read, or only to learn when peers are back. */
export interface WaitingBlock {
  readonly block: number
  /** When it was first requested, by `monotonicMs`. */
  readonly sinceMs: number
  /** Whether a read of it was told that it cannot be had. */
  readonly hasFailed: boolean
}

/** The order in which a start will read chunks, and its origin. */
export interface StartOrder {
  /** `image`: its publisher recorded it. `home`: this home did. `guess`: by names in the index. */
  readonly source: 'image' | 'home' | 'guess'
  /** Chunk numbers, each once, in the order in which they should be fetched. */
  readonly chunks: readonly number[]
}

export interface ImageStats extends StatsResponse {
  /** Stored bytes of the whole image. */
  readonly imageBytes: number
  readonly complete: boolean
  /** Stored bytes of the image's chunks that are read from other images on this machine. */
  readonly reusedBytes: number
  /** Stored bytes of it present on this machine, whenever they came; reused ones are not among them. */
  readonly localBytes: number
  /** Origin of the order in which a start's content is fetched ahead; null if none is. */
  readonly startOrder: StartOrder['source'] | null
}

/** How an image was opened; times of `monotonicMs`. */
export interface OpeningTiming extends OpenTiming {
  readonly beganMs: number
  /** When the daemon was reached. */
  readonly daemonMs: number
  /** When index and profile were here, and decoded unless that came later. */
  readonly readyMs: number
  /** When the index was decoded, where that came later. */
  readonly decoding?: readonly [sinceMs: number, untilMs: number]
}

export interface OpenImageOptions {
  readonly home: string
  /** The image: its link, or a name that the home knows it by. */
  readonly link: ImageReference
  /** How long to look for peers before `PEERS_UNREACHABLE`. @default 30000 */
  readonly peerTimeoutMs?: number
  /**
   * `wait`: reads wait for peers for ever; `fail`: they fail once peers have been gone for the peer time-out,
   * all of them, until a peer is back. @default 'wait'
   */
  readonly onPeerLoss?: 'wait' | 'fail'
  /** Use what is on this machine and look for no peers. @default false */
  readonly offline?: boolean
  /** Do not fetch the rest of the image in the background. @default false */
  readonly lazyOnly?: boolean
  /**
   * What will be run of the image, so that its content is fetched ahead: `image` stands for
   * what the image itself says, `boot` for its init, an argument list for a command.
   */
  readonly run?: 'image' | 'boot' | readonly string[]
  /**
   * Take content that other images on this machine hold from those. Peers can tell from what is not
   * asked of them what this machine had already. @default false
   */
  readonly reuse?: boolean
  readonly signal?: AbortSignal
}

/**
 * One image version opened through the daemon: its tree is in this process, its content is read over
 * the daemon's socket. Survives the daemon: reads wait until it is back.
 */
export interface ImageSession extends AsyncDisposable {
  /** With version, key and secret. */
  readonly link: ImageReference
  /** z32 drive key. */
  readonly key: string
  readonly version: number
  readonly manifest: Manifest
  readonly tree: Tree
  readonly chunks: ChunkReader
  /** The order in which content is fetched ahead, if something will be run. */
  readonly startOrder?: StartOrder | undefined
  readonly opening?: OpeningTiming | undefined
  /** Chunks whose reads found them on their way, or here, because they were fetched ahead. */
  readonly cameAhead?: (chunk: number) => boolean
  /** Blocks that are waited for now. */
  readonly waiting?: Iterable<WaitingBlock>
  /** Has `listener` called whenever a block begins to be waited for; one takes the place of the one before. */
  onWait?(listener: () => void): void
  readonly isDaemonGone?: boolean
  /** Whether all these chunks are on this machine. */
  holdsAll?(chunks: readonly number[]): Promise<boolean>
  /** Tells the daemon how a container of the image started. */
  noteStart?(start: Omit<StartNote, 'handle'>): Promise<void>
  /**
   * @param patienceMs how long the daemon may be gone. @default for ever
   * @throws ContainerError `DAEMON_UNREACHABLE`
   */
  stats(patienceMs?: number): Promise<ImageStats>
  /** Fetches everything that is missing; resolves when the image is whole. */
  fetchAll(signal?: AbortSignal): Promise<void>
}

/** Reads that compare what is on this machine with the drive's tree, and fetch anew what is damaged. */
export interface CheckedImage {
  readonly chunks: ChunkReader
  /** Reads all that the image has besides its content. @throws ContainerError `BAD_BLOCK`, `PEERS_UNREACHABLE` */
  parts(): Promise<void>
}

/** Notices about an opened image for the user. */
export interface ImageNews {
  /** The one that was opened. */
  readonly version: number
  /** The newest version was asked for, and nobody was there who could tell of a newer one. */
  readonly mayBeOld: boolean
  /** Two histories of it are signed; as what this machine has one of them. */
  readonly forked: 'owner' | 'reader' | null
}

/** An image that is looked at beyond its files. */
export interface InspectedImage extends ImageSession {
  /**
   * Reads the hash of each chunk's content, as the publisher states it.
   *
   * @returns `CHUNK_HASH_BYTES` a chunk, in order of number
   */
  chunkHashes(signal?: AbortSignal): Promise<Uint8Array>
  /**
   * Reads the profile that its publisher recorded; undefined if there is none.
   *
   * @throws ContainerError `BAD_INDEX` when it is damaged, `PEERS_UNREACHABLE`
   */
  bootProfile(signal?: AbortSignal): Promise<BootProfile | undefined>
  checked(): CheckedImage
  /** Versions of the manifest's list that nobody has any more, as far as that is known. */
  freedVersions(): Promise<number[]>
  readonly news: ImageNews
  /** The part of `fetchedBytes` that the daemon had before the image was opened here. */
  readonly fetchedBefore: number
  /** 1 for each chunk whose block is on this machine, 0 for the others. */
  heldChunks(): Promise<Uint8Array>
}

/** An image whose manifest is here, and whose index is on its way. Disposing ends the session, too. */
export interface OpeningImage<Session extends ImageSession = ImageSession> extends AsyncDisposable {
  /** The same as in {@link ImageSession}. */
  readonly link: ImageReference
  readonly key: string
  readonly version: number
  readonly manifest: Manifest
  readonly news?: ImageNews
  /**
   * Returns once the index is here, as it should be.
   *
   * @throws ContainerError as `openImage`
   */
  arrived(): Promise<void>
  /**
   * Decodes the index, which takes this thread for a moment; later calls give the same session.
   *
   * @throws ContainerError as `openImage`
   */
  open(): Promise<Session>
}

export type BeginOpening = (options: OpenImageOptions) => Promise<OpeningImage>
