import { readTree } from '../image/index-part.ts'
import { decodeManifest, encodeManifest } from '../image/manifest-codec.ts'
import type { Manifest } from '../image/manifest.ts'
import type { Tree } from '../image/tree.ts'
import type { DriveWriter } from '../p2p/drive-writer.ts'
import { formatKey, formatLink } from '../p2p/link.ts'
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
  #isCommitted = false
  /** Look-ups that nobody waits for. */
  #foreseen: Promise<void> = Promise.resolve()

  private constructor(service: ImageService, target: PublishTarget, exchange: BlockExchangeFile) {
    this.#service = service
    this.#target = target
    this.#exchange = exchange
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
    this.#foreseen = this.#target.writer.lookUp(paths).catch(() => {})
    return null
  }

  /**
   * Checks what was appended as a reader would, then makes it the image's newest version.
   *
   * @throws ContainerError `BAD_MANIFEST`, `BAD_INDEX`, `DISK_FULL`; nothing is published then
   */
  async commit(unchecked: Manifest): Promise<PublishCommitResponse> {
    const { writer } = this.#target
    const manifest = decodeManifest(encodeManifest(unchecked))
    const tree = await readIndex(writer, manifest)
    await this.#foreseen
    await writer.commit(manifest, tree, await this.#previousTree(manifest))
    this.#isCommitted = true
    const { key, secret } = writer
    await writer[Symbol.asyncDispose]()
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

  async #previousTree(manifest: Manifest): Promise<Tree | undefined> {
    const record = manifest.versions.at(-2)
    if (!record) return undefined
    const before = await this.#before
    if (before?.version === record.version) return before.tree
    const { writer } = this.#target
    return readIndex(writer, decodeManifest(await writer.read(record.blocks - 1)))
  }

  /** Leaves nothing of a publish that is not committed. */
  async abandon(): Promise<void> {
    if (this.#isCommitted) return
    await this.#foreseen
    await this.#exchange[Symbol.asyncDispose]()
    await this.#service.abandonPublish(this.#target)
  }
}

interface VersionTree {
  readonly version: number
  readonly tree: Tree
}

/** Undefined where nothing was committed yet. */
async function newestTree(writer: DriveWriter): Promise<VersionTree | undefined> {
  const block = await writer.newestManifest()
  if (block === undefined) return undefined
  const manifest = decodeManifest(block)
  return { version: manifest.version, tree: await readIndex(writer, manifest) }
}

function readIndex(writer: DriveWriter, manifest: Manifest): Promise<Tree> {
  return readTree(manifest, (block) => writer.read(block))
}
