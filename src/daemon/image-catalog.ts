import { readFile } from 'node:fs/promises'
import { writeFileAtomically } from '../image/atomic-file.ts'
import { ContainerError, systemErrorCode } from '../image/errors.ts'
import type { PeerAddress } from '../p2p/peer-address.ts'
import type { ImageRole } from './protocol.ts'

/** What the daemon remembers of one image, so that it serves it again after a restart. */
export interface CatalogEntry {
  /** Drive key, hex. */
  readonly key: string
  /** Encryption key, hex; null for a mirror. */
  readonly secret: string | null
  readonly role: ImageRole
  readonly name: string
  /** Fetch everything there is and will be, and keep it. */
  readonly follow: boolean
  /** Newest version known; null before the first was seen. */
  readonly version: number | null
  /** Names the writer's key pair in the store; owners only. */
  readonly namespace: string | null
  /** A publish that has not been completed yet. */
  readonly publishing: boolean
  readonly createdAt: string
  /** Seeders that its link named. */
  readonly peers?: readonly PeerAddress[]
  /** Its drive does not list the files of the newest version yet. */
  readonly unlisted?: boolean
  /** Two histories of it are signed; this machine keeps the one that it has. */
  readonly forked?: boolean
  /** Of one client, which it goes with; nobody is told of it. */
  readonly temporary?: boolean
}

/** What it takes to publish an image again that this home has published and given up. */
export type GivenUp = Pick<CatalogEntry, 'key' | 'secret' | 'namespace' | 'name'>

interface CatalogDocument {
  readonly format: number
  readonly images: CatalogEntry[]
  readonly givenUp?: GivenUp[]
}

const FORMAT = 1

/** The seed list: a file of the home, 0600 because it holds the secrets, rewritten whole. */
export class ImageCatalog {
  readonly #path: string
  readonly #entries: Map<string, CatalogEntry>
  /** By drive key, hex. */
  readonly #givenUp: Map<string, GivenUp>
  #writing: Promise<void> = Promise.resolve()

  private constructor(path: string, { images, givenUp = [] }: Omit<CatalogDocument, 'format'>) {
    this.#path = path
    this.#entries = new Map(images.map((entry) => [id(entry), entry]))
    this.#givenUp = new Map(givenUp.map((image) => [image.key, image]))
  }

  static async load(path: string): Promise<ImageCatalog> {
    try {
      const document = JSON.parse(await readFile(path, 'utf8')) as CatalogDocument
      if (document.format !== FORMAT) {
        throw new ContainerError('UNSUPPORTED_VERSION', `${path} is of another release`)
      }
      return new ImageCatalog(path, document)
    } catch (cause) {
      if (systemErrorCode(cause) === 'ENOENT') return new ImageCatalog(path, { images: [] })
      if (cause instanceof ContainerError) throw cause
      throw new ContainerError('IO', `cannot read the list of images ${path}`, {
        hint: 'restore it from a backup, or move it away to start with an empty list',
        cause
      })
    }
  }

  list(): CatalogEntry[] {
    return [...this.#entries.values()]
  }

  /** Entry of a drive key (hex); one with a secret before a mirror's. */
  find(key: string): CatalogEntry | undefined {
    return this.#entries.get(`${key}:full`) ?? this.#entries.get(`${key}:blind`)
  }

  /**
   * The image of that name or key.
   *
   * @throws ContainerError `NOT_FOUND`; `USAGE` when several images have the name
   */
  named(name: string): CatalogEntry {
    const found = this.list().filter(
      (entry) => entry.name === name && !entry.publishing && !entry.temporary
    )
    const [first, second] = found
    if (!first) {
      throw new ContainerError('NOT_FOUND', `no image is named ${JSON.stringify(name)} here`, {
        hint: '`dat-container images` lists what there is; a link works too'
      })
    }
    if (second) {
      throw new ContainerError('USAGE', `several images are named ${JSON.stringify(name)}`, {
        hint: 'say which by its link: `dat-container images` lists them'
      })
    }
    return first
  }

  async put(entry: CatalogEntry): Promise<void> {
    this.#entries.set(id(entry), entry)
    if (entry.role === 'owner') this.#givenUp.delete(entry.key)
    await this.#write()
  }

  /** Of an image that may be gone: its drive lists the files of its newest version. @param key drive key, hex */
  async markListed(key: string): Promise<void> {
    const entry = this.find(key)
    if (!entry?.unlisted) return
    const { unlisted: _done, ...listed } = entry
    await this.put(listed)
  }

  /** @param key drive key, hex */
  async markForked(key: string): Promise<void> {
    for (const entry of this.list()) {
      if (entry.key === key && !entry.forked) await this.put({ ...entry, forked: true })
    }
  }

  async remove(entry: CatalogEntry): Promise<void> {
    this.#entries.delete(id(entry))
    await this.#write()
  }

  /** Removes an image of this home's own, and keeps what publishes it again. */
  async giveUp(entry: CatalogEntry): Promise<void> {
    const { key, secret, namespace, name } = entry
    this.#givenUp.set(key, { key, secret, namespace, name })
    await this.remove(entry)
  }

  /** What is kept of an image that this home has published and given up. @param key drive key, hex */
  givenUp(key: string): GivenUp | undefined {
    return this.#givenUp.get(key)
  }

  #write(): Promise<void> {
    const next = this.#writing
      .catch(() => {})
      .then(() => {
        const givenUp = [...this.#givenUp.values()]
        const document: CatalogDocument = { format: FORMAT, images: this.list(), givenUp }
        return writeFileAtomically(this.#path, `${JSON.stringify(document, null, 2)}\n`)
      })
    this.#writing = next
    return next
  }
}

function id(entry: CatalogEntry): string {
  return `${entry.key}:${entry.secret === null ? 'blind' : 'full'}`
}
