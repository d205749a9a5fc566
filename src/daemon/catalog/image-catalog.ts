import { ContainerError } from '../../core/errors.ts'
import { imagesMeant, isKeyPrefix } from '../../p2p/key-prefix.ts'
import { formatKey } from '../../p2p/link.ts'
import type { PeerAddress } from '../../p2p/peer-address.ts'
import type { ImageRole } from '../../rpc/protocol.ts'
import { CatalogFile } from './catalog-file.ts'
import * as v from 'valibot'
import { count, hex256, type RecordFormat } from '../../core/record-format.ts'

/** The entry of an image in the catalog, by which the daemon serves it again after a restart. */
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
  /** It belongs to one client and is deleted when that disconnects; it is neither listed nor announced. */
  readonly temporary?: boolean
  /** All of a version is kept here: of the one with this number, or of the newest, which is followed, where it is null. */
  readonly kept?: { readonly version: number | null }
  /**
   * A mirror keeps both logs up to these lengths in blocks, and does not follow them; `now` until they were open, and what
   * there is was known.
   */
  readonly held?: 'now' | { readonly content: number; readonly entries: number }
  /** A mirror keeps a share of this many stored bytes. */
  readonly quota?: number
  /** It is never evicted. */
  readonly pinned?: boolean
  /** A channel that is followed has it kept; `entry`: nobody else wanted anything of it. */
  readonly byChannel?: 'entry' | 'keeping'
  /** Public keys, hex, of blind peers that are asked to keep it. */
  readonly blindPeers?: readonly string[]
}

/** The fields of an entry that say what of an image is kept here. */
export type Keeping = Pick<
  CatalogEntry,
  'kept' | 'held' | 'quota' | 'pinned' | 'byChannel' | 'blindPeers'
>

/** Picks what an entry says of keeping its image. */
export function keepingOf(entry: CatalogEntry | undefined): Keeping {
  const { kept, held, quota, pinned, byChannel, blindPeers } = entry ?? {}
  return {
    ...(kept && { kept }),
    ...(held && { held }),
    ...(quota !== undefined && { quota }),
    ...(pinned && { pinned }),
    ...(byChannel && { byChannel }),
    ...(blindPeers && { blindPeers })
  }
}

/** The data for publishing a removed image of this home again. */
export type GivenUp = Pick<CatalogEntry, 'key' | 'secret' | 'namespace' | 'name'>

interface CatalogDocument {
  readonly format: number
  readonly images: CatalogEntry[]
  readonly givenUp?: GivenUp[]
}

const FORMAT = 1

const CATALOG: RecordFormat<CatalogDocument> = {
  field: 'format',
  version: FORMAT,
  shape: v.looseObject({
    format: v.literal(FORMAT),
    images: v.array(
      v.looseObject({
        key: hex256,
        secret: v.nullable(hex256),
        role: v.picklist(['owner', 'reader', 'mirror']),
        name: v.string(),
        follow: v.boolean(),
        version: v.nullable(count),
        namespace: v.nullable(v.string()),
        publishing: v.boolean(),
        createdAt: v.string(),
        peers: v.exactOptional(v.array(v.looseObject({ host: v.string(), port: count }))),
        unlisted: v.exactOptional(v.boolean()),
        forked: v.exactOptional(v.boolean()),
        temporary: v.exactOptional(v.boolean()),
        kept: v.exactOptional(v.looseObject({ version: v.nullable(count) })),
        held: v.exactOptional(
          v.union([v.literal('now'), v.looseObject({ content: count, entries: count })])
        ),
        quota: v.exactOptional(count),
        pinned: v.exactOptional(v.boolean()),
        byChannel: v.exactOptional(v.picklist(['entry', 'keeping'])),
        blindPeers: v.exactOptional(v.array(hex256))
      })
    ),
    givenUp: v.exactOptional(
      v.array(
        v.looseObject({
          key: hex256,
          secret: v.nullable(hex256),
          namespace: v.nullable(v.string()),
          name: v.string()
        })
      )
    )
  })
}

/** Length of a key in z-base-32. */
const KEY_TEXT_LENGTH = 52

/** The seed list. */
export class ImageCatalog {
  readonly #file: CatalogFile<CatalogDocument>
  readonly #entries: Map<string, CatalogEntry>
  /** By drive key, hex. */
  readonly #givenUp: Map<string, GivenUp>

  private constructor(
    file: CatalogFile<CatalogDocument>,
    { images, givenUp = [] }: Omit<CatalogDocument, 'format'>
  ) {
    this.#file = file
    this.#entries = new Map(images.map((entry) => [entryId(entry), entry]))
    this.#givenUp = new Map(givenUp.map((image) => [image.key, image]))
  }

  /** @throws ContainerError `IO`, `UNSUPPORTED_VERSION` */
  static async load(path: string): Promise<ImageCatalog> {
    const file = new CatalogFile<CatalogDocument>(path)
    return new ImageCatalog(file, (await file.read(CATALOG, 'images')) ?? { images: [] })
  }

  list(): CatalogEntry[] {
    return [...this.#entries.values()]
  }

  /** Entry of a drive key (hex); one with a secret before a mirror's. */
  find(key: string): CatalogEntry | undefined {
    return this.#entries.get(`${key}:full`) ?? this.#entries.get(`${key}:blind`)
  }

  /**
   * The image of that name, or of the key that is or begins so.
   *
   * @throws ContainerError `NOT_FOUND`; `USAGE` when it means several images
   */
  named(name: string): CatalogEntry {
    const complete = this.list().filter(({ publishing, temporary }) => !publishing && !temporary)
    const [first, second] = imagesMeant(complete, name, (entry) => ({
      name: entry.name,
      key: keyText(entry)
    }))
    if (!first) throw notNamed(name)
    // A mirror and a reader of one image are one.
    if (second && second.key !== first.key) {
      throw new ContainerError('USAGE', `${JSON.stringify(name)} means several images`, {
        hint: 'give more of its key, or its link: `dat-container images` lists them'
      })
    }
    return this.find(first.key) ?? first
  }

  /** Whether this home publishes an image of that name. @param but the key of one that may have it, hex */
  publishes(name: string, but?: string): boolean {
    return this.list().some(
      (entry) =>
        entry.role === 'owner' &&
        !entry.publishing &&
        !entry.temporary &&
        entry.name === name &&
        entry.key !== but
    )
  }

  async put(entry: CatalogEntry): Promise<void> {
    this.#entries.set(entryId(entry), entry)
    if (entry.role === 'owner') this.#givenUp.delete(entry.key)
    await this.#write()
  }

  /** Notes that an image's drive lists the files of its newest version; the image may be gone. @param key drive key, hex */
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
    this.#entries.delete(entryId(entry))
    await this.#write()
  }

  /** Removes an image of this home's own, and keeps what publishes it again. */
  async giveUp(entry: CatalogEntry): Promise<void> {
    const { key, secret, namespace, name } = entry
    this.#givenUp.set(key, { key, secret, namespace, name })
    await this.remove(entry)
  }

  /** Drive keys, hex, of the images that this home has published and given up. */
  allGivenUp(): string[] {
    return [...this.#givenUp.keys()]
  }

  /** Finds what is kept of a removed image of this home. @param key drive key, hex */
  givenUp(key: string): GivenUp | undefined {
    return this.#givenUp.get(key)
  }

  #write(): Promise<void> {
    return this.#file.write(() => ({
      format: FORMAT,
      images: this.list(),
      givenUp: [...this.#givenUp.values()]
    }))
  }
}

function keyText({ key }: CatalogEntry): string {
  return formatKey(Buffer.from(key, 'hex'))
}

function notNamed(name: string): ContainerError {
  if (name.length === KEY_TEXT_LENGTH && isKeyPrefix(name)) {
    return new ContainerError('NOT_FOUND', 'the image of that key is not here', {
      hint: 'a key alone cannot read an image: give the full link, dat://KEY#SECRET'
    })
  }
  return new ContainerError('NOT_FOUND', `no image is named ${JSON.stringify(name)} here`, {
    hint: '`dat-container images` lists the images; a link works too'
  })
}

/** Tells a mirror of an image from one that this machine can read. */
export function entryId(entry: Pick<CatalogEntry, 'key' | 'secret'>): string {
  return `${entry.key}:${entry.secret === null ? 'blind' : 'full'}`
}
