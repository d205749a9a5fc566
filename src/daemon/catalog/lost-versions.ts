import type { Logger } from 'pino'
import { ContainerError, isContainerError } from '../../core/errors.ts'
import type { DriveSession } from '../../p2p/transfer/drive-session.ts'
import { peerDeadline } from '../../core/abort.ts'
import type { CatalogEntry, ImageCatalog } from './image-catalog.ts'

/** How long the manifest of a version that was lost may take. */
const MANIFEST_MS = 10_000

export interface LostVersionsOptions {
  readonly catalog: ImageCatalog
  readonly log: Logger
  /** Whether the store may lack the end of what was written. */
  readonly mayLackVersions: boolean
}

/**
 * Finds versions of this home's own images that it has lost, to a power cut or to a backup that was restored, and that
 * peers still have. To publish without them would sign a second history.
 */
export class LostVersions {
  readonly #options: LostVersionsOptions
  /** By the catalog's key of an image: the search for peers that have it. */
  readonly #looked = new Map<string, Promise<void>>()

  constructor(options: LostVersionsOptions) {
    this.#options = options
  }

  /** Looks for peers that have an image, where this home may lack versions. Returns when that was done; never rejects. */
  begin(entry: CatalogEntry, drive: DriveSession): Promise<void> {
    if (!this.#options.mayLackVersions || entry.temporary) return Promise.resolve()
    const looked = this.#catchUp(entry, drive, true, new AbortController().signal).catch(
      (err: unknown) => {
        this.#options.log.debug({ err, image: entry.name }, 'could not look for lost versions')
      }
    )
    this.#looked.set(entry.key, looked)
    return looked
  }

  /**
   * Returns when what peers have is here, as far as they are found and connected.
   *
   * @throws ContainerError `FORKED` where they have another history
   */
  async take(entry: CatalogEntry, drive: DriveSession, signal: AbortSignal): Promise<void> {
    await this.#looked.get(entry.key)
    await this.#catchUp(entry, drive, false, signal)
    if (this.#options.catalog.find(entry.key)?.forked) throw forkedError(entry.name)
    if (drive.isBehind) {
      throw new ContainerError(
        'FORKED',
        `a peer holds versions of ${JSON.stringify(entry.name)} that this home has lost, and cannot give them back`,
        {
          hint: 'try again when a mirror or a reader that pulled the image is online, or share it as a new image'
        }
      )
    }
  }

  async #catchUp(
    entry: CatalogEntry,
    drive: DriveSession,
    look: boolean,
    signal: AbortSignal
  ): Promise<void> {
    const { catalog, log } = this.#options
    const grew = await drive.catchUp(look, signal)
    log.debug({ image: entry.name, look, grew }, 'asked peers for lost versions')
    const known = catalog.find(entry.key)
    if (!known || known.forked) return
    const deadline = peerDeadline(signal, MANIFEST_MS, 'the newest version')
    try {
      const { version } = await drive.manifest(undefined, deadline.signal)
      if (version <= (known.version ?? 0)) return
      log.warn({ image: entry.name, version, had: known.version }, 'took lost versions from peers')
      await catalog.put({ ...known, version })
    } catch (error) {
      signal.throwIfAborted()
      // The publisher learns what is missing when it reads the version before.
      if (!isContainerError(error)) log.debug({ err: error }, 'the newest manifest is not here')
    } finally {
      deadline.clear()
    }
  }
}

/** Makes the error for adding a version to an image with two histories. */
export function forkedError(name: string): ContainerError {
  return new ContainerError(
    'FORKED',
    `peers hold versions of ${JSON.stringify(name)} that this home has lost, and it has published others in their place`,
    {
      hint:
        'this happens when a backup of the home is restored and published from while nobody who has the lost versions is ' +
        'there; share it as a new image and give its link to the users of the old one, which is still served'
    }
  )
}
