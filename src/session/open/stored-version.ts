import { readChunkHashes, type ChunkHashes } from '../../image/format/chunk-hashes.ts'
import { decodeIndex, decompressPart, MAX_INDEX_BYTES } from '../../image/format/index-codec.ts'
import { readPartBlocks } from '../../image/format/image-part.ts'
import { readStoredIndex, type StoredIndex } from '../../image/format/index-part.ts'
import type { ColumnTree } from '../../image/tree/column-tree.ts'
import type { Manifest, PartPointer } from '../../image/format/manifest.ts'
import type { DaemonClient } from '../connection/client.ts'
import { METHODS, type OpenResponse } from '../../rpc/protocol.ts'

/** How long peers may take to give what was lost here. */
const LOST_MS = 10_000

/** The newest version of an image that is wholly on this machine, as its publisher reads it. */
export class StoredVersion implements AsyncDisposable {
  readonly manifest: Manifest
  /** The drive's key. */
  readonly key: string
  readonly #client: DaemonClient
  readonly #handle: number

  private constructor(client: DaemonClient, { handle, key, manifest }: OpenResponse) {
    this.#client = client
    this.#handle = handle
    this.key = key
    this.manifest = manifest
  }

  /**
   * @param image link or name
   * @throws ContainerError `NOT_FOUND`, `PEERS_UNREACHABLE` where it is not here, what is wrong with it
   */
  static async open(client: DaemonClient, image: string): Promise<StoredVersion> {
    // It is here, unless this home has lost it and peers have it.
    const request = { image, peerTimeoutMs: LOST_MS, offline: false }
    return new StoredVersion(client, await client.request(METHODS.open, request))
  }

  block(block: number): Promise<Buffer> {
    return this.#client.request(METHODS.block, { handle: this.#handle, block, timeoutMs: LOST_MS })
  }

  /** @throws ContainerError `BAD_INDEX` when it is damaged, or larger than `limitBytes` */
  async part(pointer: PartPointer, limitBytes = MAX_INDEX_BYTES): Promise<Buffer> {
    return decompressPart(
      await readPartBlocks(pointer, (block) => this.block(block)),
      pointer,
      limitBytes
    )
  }

  /** @throws ContainerError `BAD_INDEX` */
  index(): Promise<StoredIndex> {
    return readStoredIndex(this.manifest, (block) => this.block(block))
  }

  /** @throws ContainerError `BAD_INDEX` */
  async tree(): Promise<ColumnTree> {
    return decodeIndex((await this.index()).packed)
  }

  /** @throws ContainerError `BAD_INDEX` */
  chunkHashes(): Promise<ChunkHashes> {
    return readChunkHashes(this.manifest, (part) => this.part(part))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#client.isClosed) return
    await this.#client.request(METHODS.close, { handle: this.#handle })
  }
}
