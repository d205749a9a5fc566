import { createHash } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import { ContainerError } from '../image/errors.ts'
import { readStoredIndex, readTree } from '../image/index-part.ts'
import { decodeManifest, encodeManifest } from '../image/manifest-codec.ts'
import type { Manifest } from '../image/manifest.ts'
import type { ColumnTree } from '../image/column-tree.ts'
import type { DriveWriter } from '../p2p/drive-writer.ts'
import { EntriesThread } from '../p2p/entries-thread.ts'
import { formatKey, formatLink } from '../p2p/link.ts'
import type { StagedEntries } from '../p2p/staged-entries.ts'
import { BlockExchangeFile } from './block-exchange.ts'
import type { ImageService, PublishTarget } from './image-service.ts'
import type {
  PublishBeginRequest,
  PublishBeginResponse,
  PublishCommitResponse,
  SlotRequest
} from './protocol.ts'

/** One publish of one client, from its begin to its commit or its end without one. */
export class PublishSession {
  readonly #service: ImageService
  readonly #target: PublishTarget
  readonly #exchange: BlockExchangeFile
  /** The version before, read while the client still reads its source. */
  readonly #before: Promise<VersionTree | undefined>
  /** Of a first version, started while the content is still on its way. */
  readonly #thread: EntriesThread | undefined
  readonly #abandoned = new AbortController()
  #staged: Promise<StagedVersion> | undefined
  #isCommitted = false
  /** Look-ups that nobody waits for. */
  #foreseen: Promise<void> = Promise.resolve()

  private constructor(service: ImageService, target: PublishTarget, exchange: BlockExchangeFile) {
    this.#service = service
    this.#target = target
    this.#exchange = exchange
    this.#thread = target.entry.version === null ? new EntriesThread() : undefined
    this.#before = newestTree(target.writer)
    // Who needs it will say so.
    this.#before.catch(() => {})
  }

  /**
   * @param directory for a file that is exchanged with the client
   * @throws ContainerError `NOT_FOUND`, `DISK_FULL`, `IO`
   */
  static async begin(
    service: ImageService,
    request: PublishBeginRequest,
    directory: string
  ): Promise<PublishSession> {
    const target = await service.beginPublish(request)
    try {
      return new PublishSession(service, target, BlockExchangeFile.create(directory))
    } catch (error) {
      await service.abandonPublish(target)
      throw error
    }
  }

  get begun(): PublishBeginResponse {
    return { key: formatKey(this.#target.writer.key), exchange: this.#exchange.layout }
  }

  get isTemporary(): boolean {
    return this.#target.entry.temporary === true
  }

  /** @param blocks with `BLOCK_ROOM` bytes before each, which are overwritten */
  append(blocks: readonly Uint8Array[]): Promise<number> {
    return this.#target.writer.appendInPlace(blocks)
  }

  /** @throws ContainerError `USAGE`, `IO`, `DISK_FULL` */
  appendSlot({ slot, lengths }: SlotRequest): Promise<number> {
    return this.append(this.#exchange.read(slot, lengths))
  }

  /** Reads what a commit of these files' entries will meet, while their content is still on its way. */
  foresee(paths: readonly string[]): null {
    // Whatever is wrong, the commit meets it again.
    this.#foreseen = this.#foreseen.then(() => this.#target.writer.lookUp(paths)).catch(() => {})
    return null
  }

  /**
   * Begins with the entries of a version, while its index is still being packed.
   *
   * @throws ContainerError `USAGE`
   */
  announceIndex(packed: Uint8Array): null {
    if (this.#staged) throw new ContainerError('USAGE', 'this publish has told of its index')
    this.#staged = this.#stage(packed)
    // The commit is told.
    this.#staged.catch(() => {})
    return null
  }

  async #stage(packed: Uint8Array): Promise<StagedVersion> {
    // Whoever announced it is answered first.
    await setImmediate()
    const digest = digestOf(packed)
    await this.#foreseen
    const before = await this.#before
    const thread = this.#thread && { thread: this.#thread }
    const { signal } = this.#abandoned
    const entries = await this.#target.writer.stage(packed, before?.tree, { ...thread, signal })
    return { digest, entries, previous: before?.version }
  }

  /**
   * Checks what was appended as a reader would, then makes it the image's newest version.
   *
   * @throws ContainerError `BAD_MANIFEST`, `BAD_INDEX`, `DISK_FULL`; nothing is published then
   */
  async commit(unchecked: Manifest): Promise<PublishCommitResponse> {
    const { writer } = this.#target
    const manifest = decodeManifest(encodeManifest(unchecked))
    const { packed } = await readStoredIndex(manifest, (block) => writer.read(block))
    const { digest, entries, previous } = await (this.#staged ??= this.#stage(packed))
    if (previous !== manifest.versions.at(-2)?.version) {
      throw new ContainerError('BAD_MANIFEST', 'another version came before this one')
    }
    if (!digest.equals(digestOf(packed))) {
      throw new ContainerError('BAD_INDEX', 'its index is not the one that was announced')
    }
    await writer.commit(manifest, entries)
    this.#isCommitted = true
    const { key, secret } = writer
    await writer[Symbol.asyncDispose]()
    await this.#thread?.[Symbol.asyncDispose]()
    await this.#exchange[Symbol.asyncDispose]()
    const announced = await this.#service.completePublish(this.#target, manifest)
    const peers = this.#service.peersOf(this.#target.entry)
    return {
      link: formatLink({ key, secret, version: undefined, peers }),
      mirrorLink: formatLink({ key, secret: undefined, version: undefined, peers }),
      key: formatKey(key),
      announced
    }
  }

  /** Leaves nothing of a publish that is not committed. */
  async abandon(): Promise<void> {
    if (this.#isCommitted) return
    this.#abandoned.abort()
    await this.#foreseen
    await (await this.#staged?.catch(() => undefined))?.entries[Symbol.asyncDispose]()
    await this.#thread?.[Symbol.asyncDispose]()
    await this.#exchange[Symbol.asyncDispose]()
    await this.#service.abandonPublish(this.#target)
  }
}

/** Entries of a version that is still to be committed. */
interface StagedVersion {
  /** Of the index that they are of. */
  readonly digest: Buffer
  readonly entries: StagedEntries
  /** The version that they follow. */
  readonly previous: number | undefined
}

interface VersionTree {
  readonly version: number
  readonly tree: ColumnTree
}

/** Undefined where nothing was committed yet. */
async function newestTree(writer: DriveWriter): Promise<VersionTree | undefined> {
  const block = await writer.newestManifest()
  if (block === undefined) return undefined
  const manifest = decodeManifest(block)
  const tree = await readTree(manifest, (number) => writer.read(number))
  return { version: manifest.version, tree }
}

function digestOf(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest()
}
