import { randomBytes } from 'node:crypto'
import type { PeerDiscovery } from 'hyperswarm'
import type { Logger } from 'pino'
import { ContainerError } from '../../core/errors.ts'
import type { Manifest } from '../../image/format/manifest.ts'
import { DriveWriter } from '../../p2p/drive/drive-writer.ts'
import type { DriveSession } from '../../p2p/transfer/drive-session.ts'
import { listAnew } from '../../p2p/drive/list-files.ts'
import type { PeerNode } from '../../p2p/peers/peer-node.ts'
import { purgeDrive } from '../../p2p/store/purge.ts'
import { pause } from '../../core/abort.ts'
import { ListingQueue } from './listing-queue.ts'
import type { CatalogEntry, ImageCatalog } from '../catalog/image-catalog.ts'
import { forkedError } from '../catalog/lost-versions.ts'
import { newestManifest, readerOf } from '../catalog/newest-version.ts'

/** How long a publish waits to be announced before it hands out its link all the same. */
const ANNOUNCE_WAIT_MS = 5_000

export interface ImageWriterOptions {
  readonly catalog: ImageCatalog
  readonly node: PeerNode
  readonly log: Logger
}

/** The catalog's entry of an image of this home's own. */
export interface OwnedEntry extends CatalogEntry {
  readonly namespace: string
  readonly secret: string
}

export interface PublishTarget {
  readonly writer: DriveWriter
  readonly entry: CatalogEntry
  /** Length of the blobs log when the publish began. */
  readonly firstBlock: number
  /** The name that is reserved until the publish has ended. */
  readonly name?: string | undefined
  /** Announces a new drive until the list of images does. */
  readonly announcing?: PeerDiscovery
}

/** The writers of this machine's own images, from the start of a publish until the drive lists its files. */
export class ImageWriter implements AsyncDisposable {
  readonly #options: ImageWriterOptions
  readonly #seed: (entry: CatalogEntry) => DriveSession
  readonly #listings: ListingQueue
  /** Names of publishes that are under way. */
  readonly #names = new Set<string>()

  /** @param seed has an image served and announced from now on */
  constructor(options: ImageWriterOptions, seed: (entry: CatalogEntry) => DriveSession) {
    this.#options = options
    this.#seed = seed
    this.#listings = new ListingQueue(options.catalog, options.log)
  }

  /** Goes on with what the end of the daemon cut short. */
  resume(entry: CatalogEntry): void {
    if (!entry.unlisted) return
    this.#listings.begin(entry.key, (signal) => this.#listAnew(entry, signal))
  }

  /**
   * Opens a writer of a new drive.
   *
   * @param name is the image's alone from now on. @default known with the commit
   * @param temporary nobody is told of it
   * @throws ContainerError `NAME_IN_USE`
   */
  async begin(name: string | undefined, temporary: boolean): Promise<PublishTarget> {
    const { catalog, node } = this.#options
    this.#takeName(name)
    const namespace = `publish-${randomBytes(16).toString('hex')}`
    const secret = DriveWriter.newSecret()
    const writer = await this.#withName(name, DriveWriter.open({ node, namespace, secret }))
    const entry: CatalogEntry = {
      key: writer.key.toString('hex'),
      secret: secret.toString('hex'),
      role: 'owner',
      follow: false,
      name: '',
      version: null,
      namespace,
      publishing: true,
      createdAt: new Date().toISOString(),
      ...(temporary ? { temporary } : {})
    }
    await this.#withName(name, catalog.put(entry))
    if (temporary) return { writer, entry, name, firstBlock: writer.length }
    // Announced while the content comes: nobody has the link yet, and it shall work when it is told.
    const announcing = node.join(writer.discoveryKey, { server: true, client: false })
    return { writer, entry, name, firstBlock: writer.length, announcing }
  }

  /**
   * Opens the writer of an image that this machine owns, when the files of its version are listed.
   *
   * @param key of the catalog
   * @param name that the image shall have from now on
   * @throws ContainerError `NOT_FOUND`, `NAME_IN_USE`
   */
  async beginUpdate(key: string, name?: string): Promise<PublishTarget> {
    const { catalog } = this.#options
    const owned = this.owned(catalog.find(key))
    this.#takeName(name, key)
    const writer = await this.#withName(name, this.#openWriter(owned))
    try {
      await this.#listings.settled(key)
      const entry = catalog.find(key)
      if (!entry) throw new ContainerError('NOT_FOUND', 'the image was removed')
      // Before the commit, as whatever ends the daemon may come right behind that.
      await catalog.put({ ...entry, unlisted: true })
      return { writer, entry, name, firstBlock: writer.length }
    } catch (error) {
      this.giveNameBack({ name })
      // Nobody else could open one until then.
      await writer[Symbol.asyncDispose]()
      throw error
    }
  }

  /**
   * Records a completed publish and announces it.
   *
   * @param list has the drive list the version's files; called once, it closes the writer
   * @returns whether peers can find it now; the DHT may not answer
   */
  async complete(
    target: PublishTarget,
    manifest: Manifest,
    list: (signal: AbortSignal) => Promise<void>
  ): Promise<boolean> {
    const { entry, announcing } = target
    const { catalog, node } = this.#options
    const { name, version } = manifest
    const published = { ...entry, name, version, publishing: false }
    const complete = entry.temporary ? published : { ...published, unlisted: true }
    try {
      await catalog.put(complete)
    } catch (error) {
      // Only closes what it holds.
      await list(AbortSignal.abort()).catch(() => {})
      throw error
    } finally {
      this.giveNameBack(target)
    }
    if (complete.temporary) {
      await list(new AbortController().signal)
      return false
    }
    const drive = this.#seed(complete)
    const announced = Promise.race([
      drive.announced().then(
        () => node.isOnline,
        () => false
      ),
      node.offline().then(() => false),
      pause(ANNOUNCE_WAIT_MS).then(() => false)
    ])
    // The publisher is answered first.
    this.#listings.begin(entry.key, list, announced)
    const isAnnounced = await announced
    await announcing?.destroy()
    return isAnnounced
  }

  /** Lets others publish under the name of a publish that ends, or has ended. */
  giveNameBack({ name }: Pick<PublishTarget, 'name'>): void {
    if (name !== undefined) this.#names.delete(name)
  }

  /** Clears a publish that did not complete. A new version's blocks are cleared, the rest stays. */
  async abandon(
    { writer, entry, firstBlock, announcing }: PublishTarget,
    log: Logger
  ): Promise<void> {
    const { catalog, node } = this.#options
    await announcing?.destroy()
    await writer.rollBack(firstBlock).catch((err: unknown) => {
      log.warn({ err, image: entry.name }, 'a publish was not rolled back')
    })
    await writer[Symbol.asyncDispose]()
    if (entry.version !== null) {
      if (!entry.unlisted) await catalog.markListed(entry.key)
      return
    }
    await purgeDrive(node.store, Buffer.from(entry.key, 'hex'))
    await catalog.remove(entry)
  }

  /** Stops listing the files of an image that is being removed. */
  stopListing({ key }: CatalogEntry): Promise<void> {
    return this.#listings.stop(key)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#listings[Symbol.asyncDispose]()
  }

  /**
   * An image that this machine may add versions to.
   *
   * @throws ContainerError `NOT_FOUND`, `FORKED`
   */
  owned(entry: CatalogEntry | undefined): OwnedEntry {
    if (entry?.role !== 'owner' || !entry.namespace || !entry.secret) {
      throw new ContainerError('NOT_FOUND', 'this machine is not the owner of that image', {
        hint: 'only the home that published an image can add versions to it; if that home removed the image, pull its link first'
      })
    }
    if (entry.forked) throw forkedError(entry.name)
    return { ...entry, namespace: entry.namespace, secret: entry.secret }
  }

  /** @throws ContainerError `NAME_IN_USE` */
  #takeName(name: string | undefined, key?: string): void {
    if (name === undefined) return
    if (this.#options.catalog.publishes(name, key) || this.#names.has(name)) throw nameInUse(name)
    this.#names.add(name)
  }

  /** Gives the name back where what it was taken for fails. */
  async #withName<T>(name: string | undefined, work: Promise<T>): Promise<T> {
    try {
      return await work
    } catch (error) {
      this.giveNameBack({ name })
      throw error
    }
  }

  async #openWriter(entry: OwnedEntry): Promise<DriveWriter> {
    const { node } = this.#options
    const secret = Buffer.from(entry.secret, 'hex')
    return await DriveWriter.open({ node, namespace: entry.namespace, secret, isKnown: true })
  }

  async #listAnew(entry: CatalogEntry, signal: AbortSignal): Promise<void> {
    await using writer = await this.#openWriter(this.owned(entry))
    const newest = await newestManifest(writer)
    if (newest) await writer.listFiles(listAnew(await readerOf(writer, newest).tree()), signal)
  }
}

function nameInUse(name: string): ContainerError {
  return new ContainerError('NAME_IN_USE', `this machine already publishes an image ${name}`, {
    hint: `for a new version of it, share with --update ${name}; for another image, choose another name with --name`
  })
}
