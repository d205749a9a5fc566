import type { Logger } from 'pino'
import { imagesInUse } from '../../home/images-in-use.ts'
import type { HomePaths } from '../../home/home.ts'
import { ContainerError } from '../../core/errors.ts'
import { formatKey, ImageReference, type Link } from '../../p2p/link.ts'
import type { Following } from '../catalog/channel-catalog.ts'
import type { DrivePool } from '../catalog/drive-pool.ts'
import type { CatalogEntry, ImageCatalog } from '../catalog/image-catalog.ts'
import type { FollowedImages } from '../keep/channel-follower.ts'
import type { ImageService } from './image-service.ts'

/** How long an image that a channel names is looked for, before that is tried again. */
const WAIT_MS = 60_000
/** The seed list's own use of a drive. */
const OWN_USES = 1

export interface NamedImagesOptions {
  readonly service: ImageService
  readonly catalog: ImageCatalog
  readonly pool: DrivePool
  readonly paths: Pick<HomePaths, 'home' | 'runtime'>
  /** Whether a key is that of another log of this home than an image. */
  readonly isOtherLog: (key: Buffer) => Promise<boolean>
  readonly log: Logger
}

/** Keeps images because channels name them, and leaves alone what the user wants of them. */
export class NamedImages implements FollowedImages {
  readonly #options: NamedImagesOptions

  constructor(options: NamedImagesOptions) {
    this.#options = options
  }

  async keepNamed(
    link: Link,
    { how, quota }: Pick<Following, 'how' | 'quota'>,
    signal: AbortSignal
  ): Promise<void> {
    const { catalog, service, isOtherLog } = this.#options
    const before = catalog.find(link.key.toString('hex'))
    if (before === undefined && (await isOtherLog(link.key))) {
      throw new ContainerError(
        'BAD_CHANNEL',
        'the channel names a log of this home that is no image'
      )
    }
    const isKept = how === 'mirror' ? before?.follow === true : before?.kept !== undefined
    if (before?.role === 'owner' || (isKept && before?.byChannel === undefined)) return
    const byChannel = before === undefined ? 'entry' : (before.byChannel ?? 'keeping')
    const peerTimeoutMs = WAIT_MS
    if (how === 'seed') {
      const image = ImageReference.to(link)
      await service.seed({ image, isUrgent: false, peerTimeoutMs }, signal, byChannel)
    } else if (!isKept || before?.quota !== quota) {
      const { key, peers = [] } = link
      const image = ImageReference.to({ key, secret: undefined, version: undefined, peers })
      const share = quota === undefined ? {} : { quota }
      await service.mirror(
        { link: image, peerTimeoutMs, ...share },
        signal,
        this.#options.log,
        byChannel
      )
    }
  }

  isKept(key: string): boolean {
    const entry = this.#options.catalog.find(key)
    return entry !== undefined && (entry.role === 'owner' || this.#options.service.isKept(entry))
  }

  async releaseNamed(key: string): Promise<boolean> {
    const { catalog, service, log } = this.#options
    const entry = catalog.find(key)
    if (entry?.byChannel === undefined || entry.pinned === true) return true
    if (entry.byChannel === 'keeping') {
      const { byChannel: _why, kept: _kept, quota: _quota, ...rest } = entry
      await service.keepAs({ ...rest, follow: false })
      return true
    }
    if (await this.#isUsed(entry)) return false
    log.info({ image: entry.name }, 'no channel that is followed names this image any more')
    const link = { key: Buffer.from(key, 'hex'), secret: undefined, version: undefined }
    await service.forget(ImageReference.to(link), { force: false })
    return true
  }

  async adoptNamed(key: string): Promise<void> {
    const { catalog } = this.#options
    const entry = catalog.find(key)
    if (entry?.byChannel === undefined) return
    const { byChannel: _why, ...adopted } = entry
    await catalog.put(adopted)
  }

  /** Whether a container, a mount or a client uses an image, or may. */
  async #isUsed(entry: CatalogEntry): Promise<boolean> {
    const { pool, paths, service } = this.#options
    const drive = service.seeded(entry)
    if (drive && pool.usesOf(drive) > OWN_USES) return true
    try {
      return (await imagesInUse(paths)).has(formatKey(Buffer.from(entry.key, 'hex')))
    } catch {
      // One whose image cannot be told may need this one.
      return true
    }
  }
}
