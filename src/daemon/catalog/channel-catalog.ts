import * as v from 'valibot'
import { ContainerError } from '../../core/errors.ts'
import { count, hex256, type RecordFormat } from '../../core/record-format.ts'
import { imagesMeant } from '../../p2p/key-prefix.ts'
import { formatKey } from '../../p2p/link.ts'
import type { PeerAddress } from '../../p2p/peer-address.ts'
import { CatalogFile } from './catalog-file.ts'

/** An image that a channel named. */
export interface NamedImage {
  /** Drive key, hex. */
  readonly key: string
  /** The version that it named last; 0 for none. */
  readonly version: number
  /** Whether it named the newest version after that, whichever that was. */
  readonly newest: boolean
}

/** How a channel is followed: what it names is kept here. */
export interface Following {
  /** `seed` keeps what this home can read, `mirror` what it cannot. */
  readonly how: 'seed' | 'mirror'
  /** Stored bytes that a mirror may keep. */
  readonly quota?: number
  /** The image that is kept now, hex; null before the first. */
  readonly image: string | null
  /** Images that were kept before, hex, and are released when the one that is kept now is complete. */
  readonly leaving: readonly string[]
}

/** What this home knows of a channel. */
export interface ChannelEntry {
  /** Key of its log, hex. */
  readonly key: string
  /** Hex; null where this home cannot read how images are opened. */
  readonly secret: string | null
  /** Names the key pair in the store, where this home sets the channel; else null. */
  readonly namespace: string | null
  readonly name: string
  readonly createdAt: string
  readonly peers?: readonly PeerAddress[]
  /** Number of the newest record that was taken; 0 for none. */
  readonly seen: number
  /** The images that it named, the latest last. */
  readonly images: readonly NamedImage[]
  /** Two histories of it are signed; this home keeps the one that it has. */
  readonly forked?: boolean
  readonly follow?: Following
}

interface ChannelDocument {
  readonly format: number
  readonly channels: ChannelEntry[]
}

const FORMAT = 1

const CHANNELS: RecordFormat<ChannelDocument> = {
  field: 'format',
  version: FORMAT,
  shape: v.looseObject({
    format: v.literal(FORMAT),
    channels: v.array(
      v.looseObject({
        key: hex256,
        secret: v.nullable(hex256),
        namespace: v.nullable(v.string()),
        name: v.string(),
        createdAt: v.string(),
        peers: v.exactOptional(v.array(v.looseObject({ host: v.string(), port: count }))),
        seen: count,
        images: v.array(v.looseObject({ key: hex256, version: count, newest: v.boolean() })),
        forked: v.exactOptional(v.boolean()),
        follow: v.exactOptional(
          v.looseObject({
            how: v.picklist(['seed', 'mirror']),
            quota: v.exactOptional(count),
            image: v.nullable(hex256),
            leaving: v.array(hex256)
          })
        )
      })
    )
  })
}

/** The channels that a home knows. */
export class ChannelCatalog {
  readonly #file: CatalogFile<ChannelDocument>
  /** By key, hex. */
  readonly #entries: Map<string, ChannelEntry>

  private constructor(file: CatalogFile<ChannelDocument>, entries: readonly ChannelEntry[]) {
    this.#file = file
    this.#entries = new Map(entries.map((entry) => [entry.key, entry]))
  }

  /** @throws ContainerError `IO`, `UNSUPPORTED_VERSION` */
  static async load(path: string): Promise<ChannelCatalog> {
    const file = new CatalogFile<ChannelDocument>(path)
    const found = await file.read(CHANNELS, 'channels')
    return new ChannelCatalog(file, found?.channels ?? [])
  }

  list(): ChannelEntry[] {
    return [...this.#entries.values()]
  }

  /** @param key hex */
  find(key: string): ChannelEntry | undefined {
    return this.#entries.get(key)
  }

  /**
   * The channel of that name, or of the key that is or begins so.
   *
   * @throws ContainerError `NOT_FOUND`; `USAGE` when it means several channels
   */
  named(name: string): ChannelEntry {
    const [first, second] = imagesMeant(this.list(), name, (entry) => ({
      name: entry.name,
      key: formatKey(Buffer.from(entry.key, 'hex'))
    }))
    if (!first) {
      throw new ContainerError('NOT_FOUND', `no channel is named ${JSON.stringify(name)} here`, {
        hint: '`dat-container channel ls` lists the channels; a link works too: dat-channel://KEY#SECRET'
      })
    }
    if (second) {
      throw new ContainerError('USAGE', `${JSON.stringify(name)} means several channels`, {
        hint: 'give more of its key, or its link: `dat-container channel ls` lists them'
      })
    }
    return first
  }

  async put(entry: ChannelEntry): Promise<void> {
    this.#entries.set(entry.key, entry)
    await this.#write()
  }

  async remove({ key }: ChannelEntry): Promise<void> {
    this.#entries.delete(key)
    await this.#write()
  }

  #write(): Promise<void> {
    return this.#file.write(() => ({ format: FORMAT, channels: this.list() }))
  }
}
