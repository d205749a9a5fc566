import type { Logger } from 'pino'
import { ContainerError } from '../../core/errors.ts'
import type { Manifest } from '../../image/format/manifest.ts'
import { notHere } from '../../p2p/transfer/fetch-errors.ts'
import type { DriveSession, OpenDrive } from '../../p2p/transfer/drive-session.ts'
import { formatKey, ImageReference, requireSecret, type FullLink } from '../../p2p/link.ts'
import { formatPeerAddress, type PeerAddress } from '../../p2p/peer-address.ts'
import { deleteDrive, purgeDrive } from '../../p2p/store/purge.ts'
import { pause, peerDeadline } from '../../core/abort.ts'
import type { DrivePool } from '../catalog/drive-pool.ts'
import {
  cannotTellVersions,
  forkOf,
  knownPeers,
  roleOf,
  withoutShare
} from '../catalog/entry-facts.ts'
import { lossOf, namedBy } from '../catalog/removal-errors.ts'
import { entryId, keepingOf, type CatalogEntry } from '../catalog/image-catalog.ts'
import { requireReadable } from '../catalog/readable-version.ts'
import { listImage } from '../catalog/image-listing.ts'
import { ImageWriter, type ImageWriterOptions } from '../publish/image-writer.ts'
import { LostVersions } from '../catalog/lost-versions.ts'
import { dropMetadata } from '../../home/metadata-cache.ts'
import { ImageKeepers } from '../keep/image-keepers.ts'
import type { ImageUsage } from '../keep/image-usage.ts'
import { freeOldVersions } from '../catalog/old-versions.ts'
import type {
  EntrustRequest,
  GcRequest,
  GcResponse,
  ImageListing,
  MirrorRequest,
  OpenRequest,
  SeedRequest
} from '../../rpc/protocol.ts'

/** Local data answers in milliseconds; with `offline` nothing else is waited for. */
const OFFLINE_WAIT_MS = 1_500
/** How long peers may take to tell what they have. */
const TELL_MS = 200
/** How long the newest version is looked for before old ones are freed. */
const GC_WAIT_MS = 30_000

export interface ImageServiceOptions extends ImageWriterOptions {
  readonly pool: DrivePool
  readonly home: string
  readonly usage: ImageUsage
  /** Whether a key is that of another log of this home than an image. */
  readonly isOtherLog: (key: Buffer) => Promise<boolean>
  /** Whether peers may have versions of this home's own images that it has lost. */
  readonly mayLackVersions: boolean
  /** Address at which peers reach this machine without the DHT. */
  readonly advertise?: PeerAddress | undefined
}

export interface OpenedImage {
  readonly drive: DriveSession
  readonly manifest: Manifest
  readonly link: ImageReference
  /** The newest version was asked for, and nobody was there who could tell of a newer one. */
  readonly mayBeOld: boolean
  /** Two histories of it are signed; as what this machine has one of them. */
  readonly forked: 'owner' | 'reader' | null
  /** Stored bytes of it that the daemon had fetched before it was asked. */
  readonly fetchedBefore: number
}

/** The operations on images: remembering, opening, publishing, mirroring and forgetting them. */
export class ImageService implements AsyncDisposable {
  readonly publisher: ImageWriter
  readonly #options: ImageServiceOptions
  readonly #keepers: ImageKeepers
  readonly #recovery: LostVersions
  /** Drives that the seed list keeps open, by {@link entryId}. */
  readonly #seeded = new Map<string, DriveSession>()

  constructor(options: ImageServiceOptions) {
    this.#options = options
    this.publisher = new ImageWriter(options, (entry) => this.#seed(entry))
    this.#recovery = new LostVersions(options)
    this.#keepers = new ImageKeepers(options)
  }

  /** The drive that is kept open for an entry of the catalog. */
  seeded(entry: CatalogEntry): DriveSession | undefined {
    return this.#seeded.get(entryId(entry))
  }

  /** The logs of a listed image, where something of them is known. */
  opened({ key, role }: Pick<ImageListing, 'key' | 'role'>): OpenDrive | undefined {
    const isMeant = (entry: CatalogEntry): boolean =>
      (entry.role === 'mirror') === (role === 'mirror') &&
      formatKey(Buffer.from(entry.key, 'hex')) === key
    const entry = this.#options.catalog.list().find(isMeant)
    return entry && this.seeded(entry)?.opened
  }

  get count(): number {
    return this.#options.catalog.list().length
  }

  /** Reopens the seed list after a start; clears what a killed first publish left. */
  async resume(): Promise<void> {
    const { catalog, node, log } = this.#options
    for (const entry of catalog.list()) {
      if (entry.temporary || (entry.publishing && entry.version === null)) {
        log.warn({ image: entry.name }, 'clearing a publish that was interrupted')
        await purgeDrive(node.store, Buffer.from(entry.key, 'hex')).catch((err: unknown) =>
          log.warn({ err }, 'could not clear it')
        )
        await catalog.remove(entry)
      } else {
        const drive = this.#seed(entry)
        // Listing files appends: what was lost must be here before.
        if (entry.role === 'owner') {
          void this.#recovery.begin(entry, drive).then(() => this.publisher.resume(entry))
        }
      }
    }
  }

  /**
   * Opens an image by link or name; the caller gives the drive back with {@link close}.
   *
   * @throws ContainerError everything that opening can say; the signal's reason
   */
  async open(request: OpenRequest, signal: AbortSignal): Promise<OpenedImage> {
    const link = this.#resolve(request.image)
    const { catalog, pool } = this.#options
    const known = catalog.find(link.key.toString('hex'))
    const { offline } = request
    if (offline && !known) throw notHere('this image is')
    const drive = pool.acquire(link.key, link.secret, roleOf(known))
    const fetchedBefore = drive.opened?.fetcher.counters.fetchedBytes ?? 0
    if (!offline) drive.addPeers(link.peers ?? [])
    const limit = offline ? OFFLINE_WAIT_MS : request.peerTimeoutMs
    const deadline = peerDeadline(signal, limit, 'this image')
    try {
      const manifest = await drive.manifest(link.version, deadline.signal, { localOnly: offline })
      if (link.version !== undefined && !offline)
        await requireReadable(drive, manifest, deadline.signal)
      await this.#remember(link, manifest, known)
      this.#options.usage.noteUse(link.key.toString('hex'))
      const mayBeOld =
        link.version === undefined &&
        roleOf(known) === 'reader' &&
        (offline || !drive.opened?.cores.blobs.peers.length)
      const pinned = ImageReference.to({ ...link, version: manifest.version })
      return { drive, manifest, link: pinned, mayBeOld, forked: forkOf(known), fetchedBefore }
    } catch (error) {
      const explained = offline ? error : drive.explain(error)
      await pool.release(drive)
      throw explained
    } finally {
      deadline.clear()
    }
  }

  /**
   * Called before a version is added: takes from peers what this home has lost of its own image, as it would publish
   * another version in its place.
   *
   * @throws ContainerError `NOT_FOUND` where it is not this home's, `FORKED` where that has happened
   */
  async prepareUpdate(image: ImageReference, signal: AbortSignal): Promise<void> {
    const entry = this.publisher.owned(this.#options.catalog.find(this.keyOf(image)))
    await this.#recovery.take(entry, this.#seed(entry), signal)
  }

  /** Two histories of an image are signed. */
  async noteFork(key: Buffer): Promise<void> {
    const { catalog, log } = this.#options
    const entry = catalog.find(key.toString('hex'))
    if (entry === undefined || entry.forked) return
    log.error({ image: entry.name, role: entry.role }, 'peers have another history of this image')
    await catalog.markForked(entry.key)
  }

  close(drive: DriveSession): Promise<void> {
    this.#options.usage.noteUse(drive.key.toString('hex'))
    return this.#options.pool.release(drive)
  }

  /** Mirrors an image without its secret, from now on and after every restart. */
  async mirror(
    request: MirrorRequest,
    signal: AbortSignal,
    log: Logger,
    byChannel?: CatalogEntry['byChannel']
  ): Promise<ImageListing> {
    const { link } = request.link
    if (link === undefined) throw new ContainerError('BAD_LINK', 'only a link can be mirrored')
    if (link.version !== undefined) throw cannotTellVersions()
    const { key, peers = [] } = link
    const { catalog } = this.#options
    const known = catalog.find(key.toString('hex'))
    const entry: CatalogEntry = {
      key: key.toString('hex'),
      secret: null,
      role: 'mirror',
      name: request.name ?? formatKey(key).slice(0, 12),
      version: null,
      namespace: null,
      publishing: false,
      createdAt: new Date().toISOString(),
      ...withoutShare(known),
      ...(request.quota !== undefined && { quota: request.quota }),
      ...(request.hold === true && { held: 'now' as const }),
      ...knownPeers(peers, known),
      ...(byChannel && { byChannel }),
      follow: true
    }
    await catalog.put(entry)
    const drive = this.#seed(entry)
    drive.addPeers(peers)
    const deadline = peerDeadline(signal, request.peerTimeoutMs, 'this image')
    try {
      await drive.open(deadline.signal)
    } catch (error) {
      // Kept on the list on purpose: a mirror may well be set up before the publisher is.
      log.warn({ err: error }, 'mirror: nobody has the image yet')
      throw drive.explain(error)
    } finally {
      deadline.clear()
    }
    await this.#keepers.begin(entry, drive)
    return this.#listing(catalog.find(entry.key) ?? entry)
  }

  /**
   * Keeps all of an image that this machine can read, from now on and after every restart: of the version that the
   * reference names, or of the newest one.
   *
   * @throws ContainerError everything that opening can say; the signal's reason
   */
  async seed(
    request: SeedRequest,
    signal: AbortSignal,
    byChannel?: CatalogEntry['byChannel']
  ): Promise<ImageListing> {
    const { image, peerTimeoutMs, isUrgent } = request
    const { drive } = await this.open({ image, peerTimeoutMs, offline: false }, signal)
    try {
      const { byChannel: _why, ...known } = this.#entry(
        ImageReference.to({ key: drive.key, secret: drive.secret, version: undefined })
      )
      const kept = { version: image.version ?? null }
      const entry: CatalogEntry = { ...known, kept, ...(byChannel && { byChannel }) }
      await this.#options.catalog.put(entry)
      await this.#keepers.begin(entry, this.#seed(entry), { isUrgent })
      return this.#listing(entry)
    } finally {
      await this.close(drive)
    }
  }

  /** Has blind peers asked to keep an image, from now on. @throws ContainerError `NOT_FOUND` */
  async entrust({ image, blindPeers }: EntrustRequest): Promise<ImageListing> {
    const entry = { ...this.#entry(image), blindPeers }
    await this.keepAs(entry)
    return this.#listing(entry)
  }

  /** Whether all that is to be kept of an image is here. */
  isKept(entry: CatalogEntry): boolean {
    return this.#keepers.of(entry)?.isComplete === true
  }

  /** Keeps of an image from now on what an entry says. */
  async keepAs(entry: CatalogEntry): Promise<void> {
    await this.#options.catalog.put(entry)
    await this.#keepers.begin(entry, this.#seed(entry))
  }

  /** Notes whether an image may be evicted. @throws ContainerError `NOT_FOUND` */
  async pin(image: ImageReference, pinned: boolean): Promise<ImageListing> {
    const { pinned: _before, ...known } = this.#entry(image)
    const entry: CatalogEntry = pinned ? { ...known, pinned } : known
    await this.#options.catalog.put(entry)
    return this.#listing(entry)
  }

  /** Frees what only old versions of an image use. */
  async gc({ image, keep, pinned, dryRun }: GcRequest, signal: AbortSignal): Promise<GcResponse> {
    const entry = this.#entry(image)
    if (entry.secret === null || entry.follow) {
      throw new ContainerError('USAGE', `this machine mirrors ${entry.name || 'that image'}`, {
        hint: 'a mirror keeps all versions; `dat-container unseed` frees the whole image'
      })
    }
    const { pool } = this.#options
    const key = Buffer.from(entry.key, 'hex')
    const drive = pool.acquire(key, Buffer.from(entry.secret, 'hex'), roleOf(entry))
    const deadline = peerDeadline(signal, GC_WAIT_MS, 'this image')
    try {
      const newest = await drive.manifest(undefined, deadline.signal)
      const kept = new Set(newest.versions.slice(-keep).map(({ version }) => version))
      for (const used of pinned) if (used.key === formatKey(key)) kept.add(used.version)
      deadline.clear()
      const freed = await freeOldVersions(drive, { newest, keep: kept, dryRun, signal })
      if (!dryRun) await dropMetadata(this.#options, formatKey(key), freed.freed)
      return { key: formatKey(key), name: newest.name, ...freed }
    } finally {
      deadline.clear()
      await pool.release(drive)
    }
  }

  /**
   * Stops serving an image and frees its blocks.
   *
   * @param options.force also one that this machine has published
   * @param options.followedBy the name of a channel that is followed and names the image of a key in hex. @default none
   * @throws ContainerError `NOT_FOUND`; `BUSY` where what is lost has to be wanted
   */
  async forget(
    image: ImageReference,
    options: {
      readonly force: boolean
      readonly followedBy?: (key: string) => string | undefined
    }
  ): Promise<ImageListing> {
    const { catalog, node, pool } = this.#options
    const entry = this.#entry(image)
    const channel = options.followedBy?.(entry.key)
    if (channel !== undefined) throw namedBy(channel, entry)
    const listing = this.#listing(entry)
    if (!options.force && entry.role === 'owner')
      throw lossOf(entry, this.#seeded.get(entryId(entry))?.copies ?? 0)
    await this.publisher.stopListing(entry)
    const seeded = this.#seeded.get(entryId(entry))
    this.#seeded.delete(entryId(entry))
    await this.#keepers.end(entry)
    this.#options.usage.forget(entry.key)
    if (seeded) await pool.release(seeded)
    // Another history would have to be taken from peers, and cannot be added to.
    const keepsKey = entry.role === 'owner' && !entry.temporary && !entry.forked
    await (keepsKey ? catalog.giveUp(entry) : catalog.remove(entry))
    const key = Buffer.from(entry.key, 'hex')
    // A key of this home's own is no other log's: nobody else has named it.
    const isForeign = entry.role !== 'owner' && (await this.#options.isOtherLog(key))
    if (!isForeign) await purgeDrive(node.store, key, { keepEntries: keepsKey })
    await node.knownPeers?.forget(key)
    // The rest of the log records its length and history, and would make this home reject the other history.
    if (entry.forked && !isForeign) await deleteDrive(node.store, key)
    await dropMetadata(this.#options, formatKey(key))
    return listing
  }

  /** Frees a temporary image, unless that was done before. @param key of its drive */
  async forgetTemporary(key: Buffer): Promise<void> {
    const entry = this.#options.catalog.find(key.toString('hex'))
    if (!entry?.temporary) return
    const link = { key, secret: undefined, version: undefined }
    await this.forget(ImageReference.to(link), { force: true })
  }

  /** @param settles gives peers that have just come a moment to tell what they have */
  async list(settles: boolean): Promise<ImageListing[]> {
    const drives = [...this.#seeded.values()]
    const asked = drives.map(({ opened }) => opened?.fetcher.listenToPeers() === true)
    if (settles && asked.includes(true)) await pause(TELL_MS)
    return this.#options.catalog
      .list()
      .filter((entry) => !entry.publishing && !entry.temporary)
      .map((entry) => this.#listing(entry))
  }

  /** Lists the peers to name in links to an image: those of its link, and this machine. */
  peersOf({ peers = [] }: Pick<CatalogEntry, 'peers'>): readonly PeerAddress[] {
    const { advertise } = this.#options
    return advertise ? [...peers, advertise] : peers
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.publisher[Symbol.asyncDispose]()
    await this.#keepers[Symbol.asyncDispose]()
    await this.#options.usage[Symbol.asyncDispose]()
    this.#seeded.clear()
  }

  /** Whether this home publishes the image. */
  isOwner(key: Buffer): boolean {
    return this.#options.catalog.find(key.toString('hex'))?.role === 'owner'
  }

  /** Whether the image goes with the client that has published it. */
  isTemporary(key: Buffer): boolean {
    return this.#options.catalog.find(key.toString('hex'))?.temporary === true
  }

  /** Returns when all that the store has is on the disk. @throws ContainerError `DISK_FULL`, `IO` */
  sync(): Promise<void> {
    return this.#options.node.sync()
  }

  /** Drive key, hex. @throws ContainerError `BAD_LINK`, `NOT_FOUND`, `USAGE` */
  keyOf(image: ImageReference): string {
    return this.#resolve(image).key.toString('hex')
  }

  /**
   * The link that an image is read by, with peers that have it.
   *
   * @throws ContainerError `BAD_LINK` for one that this machine cannot read; `NOT_FOUND`, `USAGE`
   */
  linkOf(image: ImageReference): FullLink {
    const link = this.#resolve(image)
    const known = this.#options.catalog.find(link.key.toString('hex'))
    if (!known) return link
    const named = link.peers && link.peers.length > 0 ? link.peers : known.peers
    const all = this.peersOf({ ...(named && { peers: named }) })
    const peers = new Map(all.map((peer) => [formatPeerAddress(peer), peer]))
    return { ...link, peers: [...peers.values()] }
  }

  #resolve(image: ImageReference): FullLink {
    if (image.channel !== undefined) {
      throw new ContainerError('BAD_LINK', 'a channel has to be resolved before its image is used')
    }
    const { fullLink } = image
    if (fullLink) return fullLink
    const entry = this.#options.catalog.named(image.name)
    return requireSecret({
      key: Buffer.from(entry.key, 'hex'),
      secret: entry.secret ? Buffer.from(entry.secret, 'hex') : undefined,
      version: image.version,
      peers: entry.peers ?? []
    })
  }

  #entry(image: ImageReference): CatalogEntry {
    const { catalog } = this.#options
    if (!image.link) return catalog.named(image.toString())
    const found = catalog.find(image.link.key.toString('hex'))
    if (found) return found
    throw new ContainerError('NOT_FOUND', 'this machine does not have that image', {
      hint: '`dat-container images` lists what it has'
    })
  }

  async #remember(
    { key, secret, peers = [] }: FullLink,
    manifest: Manifest,
    known: CatalogEntry | undefined
  ): Promise<void> {
    if (known?.secret && (known.version ?? 0) >= manifest.version) return
    const given = this.#options.catalog.givenUp(key.toString('hex'))
    const entry: CatalogEntry = {
      key: key.toString('hex'),
      secret: secret.toString('hex'),
      role: known?.role === 'owner' || given ? 'owner' : 'reader',
      follow: known?.follow ?? false,
      name: manifest.name,
      version: Math.max(manifest.version, known?.version ?? 0),
      namespace: known?.namespace ?? given?.namespace ?? null,
      publishing: false,
      createdAt: known?.createdAt ?? new Date().toISOString(),
      ...(known?.unlisted ? { unlisted: true } : {}),
      ...(known?.forked ? { forked: true } : {}),
      ...keepingOf(known),
      ...knownPeers(peers, known)
    }
    await this.#options.catalog.put(entry)
    if (!known) this.#seed(entry)
  }

  #seed(entry: CatalogEntry): DriveSession {
    const already = this.#seeded.get(entryId(entry))
    if (already) return already
    const key = Buffer.from(entry.key, 'hex')
    const secret = entry.secret ? Buffer.from(entry.secret, 'hex') : undefined
    const drive = this.#options.pool.acquire(key, secret, roleOf(entry))
    this.#seeded.set(entryId(entry), drive)
    drive.addPeers(entry.peers ?? [])
    // Opening puts the logs in reach of peers that ask for them; without data it waits for a peer.
    drive
      .open(new AbortController().signal)
      .then(({ cores }) => {
        this.#options.usage.watch(entry.key, cores)
        return this.#keepers.begin(entry, drive)
      })
      .catch((err: unknown) => this.#options.log.debug({ err, image: entry.name }, 'not opened'))
    return drive
  }

  #listing(entry: CatalogEntry): ImageListing {
    return listImage(entry, {
      open: this.#seeded.get(entryId(entry))?.opened,
      peers: this.peersOf(entry),
      isComplete: this.#keepers.of(entry)?.isComplete,
      usage: this.#options.usage.of(entry.key)
    })
  }
}
