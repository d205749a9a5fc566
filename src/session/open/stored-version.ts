import type { Manifest } from '../../image/format/manifest.ts'
import { VersionReader } from '../../image/format/version-reader.ts'
import { METHODS, type OpenResponse } from '../../rpc/protocol.ts'
import type { ImageReference } from '../../p2p/link.ts'
import type { DaemonClient } from '../connection/client.ts'

/** How long peers may take to give what was lost here. */
const LOST_MS = 10_000

/** The newest version of an image that is entirely on this machine, as its publisher reads it. */
export class StoredVersion implements AsyncDisposable {
  readonly manifest: Manifest
  readonly reader: VersionReader
  /** The drive's key. */
  readonly key: string
  readonly #client: DaemonClient
  readonly #handle: number

  private constructor(client: DaemonClient, { handle, key, manifest }: OpenResponse) {
    this.#client = client
    this.#handle = handle
    this.key = key
    this.manifest = manifest
    this.reader = new VersionReader(manifest, (block) => this.block(block))
  }

  /**
   * @throws ContainerError `NOT_FOUND`, `PEERS_UNREACHABLE` where it is not here, what is wrong with it
   */
  static async open(client: DaemonClient, image: ImageReference): Promise<StoredVersion> {
    // It is here, unless this home has lost it and peers have it.
    const request = { image, peerTimeoutMs: LOST_MS, offline: false }
    return new StoredVersion(client, await client.request(METHODS.open, request))
  }

  block(block: number): Promise<Buffer> {
    return this.#client.request(METHODS.block, { handle: this.#handle, block, timeoutMs: LOST_MS })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#client.isClosed) return
    await this.#client.request(METHODS.close, { handle: this.#handle })
  }
}
