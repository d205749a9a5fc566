import { createHash } from 'node:crypto'
import type { Logger } from 'pino'
import { setImmediate } from 'node:timers/promises'
import { ContainerError } from '../../core/errors.ts'
import { decodeIndex } from '../../image/format/index-codec.ts'
import { decodeManifest, encodeManifest } from '../../image/format/manifest-codec.ts'
import type { Manifest } from '../../image/format/manifest.ts'
import type { ColumnTree } from '../../image/tree/column-tree.ts'
import { EntriesThread } from '../../p2p/drive/entries-thread.ts'
import { formatKey, formatLink } from '../../p2p/link.ts'
import { listAnew, listChanges, listFirst, type FileListing } from '../../p2p/drive/list-files.ts'
import { BlockExchangeFile } from '../publish/block-exchange.ts'
import type { PublishTarget } from '../publish/image-writer.ts'
import type { ImageService } from './image-service.ts'
import { newestManifest, readerOf } from '../catalog/newest-version.ts'
import type {
  PublishBeginRequest,
  PublishBeginResponse,
  PublishCommitResponse,
  SlotRequest
} from '../../rpc/protocol.ts'

interface UploadOptions {
  /** For a file that is exchanged with the client; undefined for a client that cannot open it. */
  readonly directory: string | undefined
  readonly log: Logger
}

/** A publish by one client, from its start to its commit or its end without one. */
export class UploadSession {
  readonly #service: ImageService
  /** Has the id of the request that began it. */
  readonly #log: Logger
  readonly #target: PublishTarget
  readonly #exchange: BlockExchangeFile | undefined
  /** The version before, looked for while the client still reads its source. */
  readonly #before: Promise<Manifest | undefined>
  /** Makes a first version's entries; started while its content is still being sent. */
  readonly #thread: EntriesThread | undefined
  readonly #abandoned = new AbortController()
  #checked: Promise<CheckedIndex> | undefined
  #isCommitted = false

  private constructor(
    service: ImageService,
    target: PublishTarget,
    exchange: BlockExchangeFile | undefined,
    log: Logger
  ) {
    this.#log = log
    this.#service = service
    this.#target = target
    this.#exchange = exchange
    this.#thread = target.entry.version === null ? new EntriesThread() : undefined
    this.#before = newestManifest(target.writer)
    // The caller that needs it reports the error.
    this.#before.catch(() => {})
  }

  /**
   * @throws ContainerError `NAME_IN_USE`, `NOT_FOUND`, `DISK_FULL`, `IO`
   */
  static async begin(
    service: ImageService,
    request: PublishBeginRequest,
    { directory, log }: UploadOptions
  ): Promise<UploadSession> {
    const { update, name, temporary = false } = request
    const { publisher } = service
    const target = await (update === undefined
      ? publisher.begin(name, temporary)
      : publisher.beginUpdate(service.keyOf(update), name))
    try {
      const exchange = directory === undefined ? undefined : BlockExchangeFile.create(directory)
      return new UploadSession(service, target, exchange, log)
    } catch (error) {
      service.publisher.giveNameBack(target)
      await service.publisher.abandon(target, log)
      throw error
    }
  }

  get begun(): PublishBeginResponse {
    return { key: formatKey(this.#target.writer.key), exchange: this.#exchange?.layout ?? null }
  }

  get driveKey(): Buffer {
    return this.#target.writer.key
  }

  get isTemporary(): boolean {
    return this.#target.entry.temporary === true
  }

  /** @param blocks with `BLOCK_PADDING` bytes before each, which are overwritten */
  append(blocks: readonly Uint8Array[]): Promise<number> {
    return this.#target.writer.appendInPlace(blocks)
  }

  /** @throws ContainerError `USAGE`, `IO`, `DISK_FULL` */
  appendSlot({ slot, lengths }: SlotRequest): Promise<number> {
    if (this.#exchange === undefined) {
      throw new ContainerError('USAGE', 'this connection has no exchange of blocks')
    }
    return this.append(this.#exchange.read(slot, lengths))
  }

  /**
   * Begins to check the index of a version, while it is still being packed.
   *
   * @throws ContainerError `USAGE`
   */
  announceIndex(packed: Uint8Array): null {
    if (this.#checked) throw new ContainerError('USAGE', 'this publish has told of its index')
    this.#checked = this.#check(packed)
    // The commit is told.
    this.#checked.catch(() => {})
    return null
  }

  async #check(packed: Uint8Array): Promise<CheckedIndex> {
    // The client that announced it is answered first.
    await setImmediate()
    const digest = digestOf(packed)
    if (this.#thread === undefined) return { digest, tree: decodeIndex(packed) }
    // A copy, as the thread keeps it.
    await this.#thread.check(new Uint8Array(packed), this.#abandoned.signal)
    return { digest, tree: undefined }
  }

  /**
   * Checks what was appended as a reader would, then makes it the image's newest version. What the drive lists
   * follows.
   *
   * @throws ContainerError `BAD_MANIFEST`, `BAD_INDEX`, `DISK_FULL`; nothing is published then
   */
  async commit(unchecked: Manifest): Promise<PublishCommitResponse> {
    const { writer, entry } = this.#target
    const manifest = decodeManifest(encodeManifest(unchecked))
    const { packed } = await readerOf(writer, manifest).index()
    const { digest, tree } = await (this.#checked ??= this.#check(packed))
    const before = await this.#before
    if (before?.version !== manifest.versions.at(-2)?.version) {
      throw new ContainerError('BAD_MANIFEST', 'another version came before this one')
    }
    if (!digest.equals(digestOf(packed))) {
      throw new ContainerError('BAD_INDEX', 'its index is not the one that was announced')
    }
    await writer.commit(manifest)
    this.#isCommitted = true
    await this.#exchange?.[Symbol.asyncDispose]()
    const { key, secret } = writer
    const announced = await this.#service.publisher.complete(this.#target, manifest, (signal) =>
      this.#listFiles(before, tree, signal)
    )
    const peers = this.#service.peersOf(entry)
    return {
      link: formatLink({ key, secret, version: undefined, peers }),
      mirrorLink: formatLink({ key, secret: undefined, version: undefined, peers }),
      key: formatKey(key),
      announced
    }
  }

  /** After the commit; closes what the session still has open. */
  async #listFiles(
    before: Manifest | undefined,
    tree: ColumnTree | undefined,
    signal: AbortSignal
  ): Promise<void> {
    const { writer, entry } = this.#target
    await using _writer = writer
    await using _thread = this.#thread
    if (entry.temporary) return
    if (this.#thread) await writer.listFiles(listFirst(this.#thread), signal)
    else if (tree) await writer.listFiles(await this.#listingOf(before, tree), signal)
  }

  async #listingOf(before: Manifest | undefined, tree: ColumnTree): Promise<FileListing> {
    if (before === undefined || this.#target.entry.unlisted) return listAnew(tree)
    // A version that was freed meanwhile cannot be compared with.
    const known = await readerOf(this.#target.writer, before)
      .tree()
      .catch(() => undefined)
    return known ? listChanges(known, tree) : listAnew(tree)
  }

  /** Leaves nothing of a publish that is not committed. */
  async abandon(): Promise<void> {
    if (this.#isCommitted) return
    // Clearing it takes a while, and an interrupted client may try again at once.
    this.#service.publisher.giveNameBack(this.#target)
    this.#abandoned.abort()
    await this.#checked?.catch(() => {})
    await this.#thread?.[Symbol.asyncDispose]()
    await this.#exchange?.[Symbol.asyncDispose]()
    await this.#service.publisher.abandon(this.#target, this.#log)
  }
}

/** The index of a version that is still to be committed. */
interface CheckedIndex {
  readonly digest: Buffer
  /** The tree of an update; undefined for a first version, whose tree is in the thread. */
  readonly tree: ColumnTree | undefined
}

function digestOf(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest()
}
