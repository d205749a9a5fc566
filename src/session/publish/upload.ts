import type { DaemonClient } from '../connection/client.ts'
import {
  METHODS,
  type PublishBeginRequest,
  type PublishBeginResponse,
  type PublishCommitResponse
} from '../../rpc/protocol.ts'
import { asBuffer } from '../../core/as-buffer.ts'
import type { BlockExchange, BlockSink } from '../../image/chunk/block-sink.ts'
import type { Manifest } from '../../image/format/manifest.ts'

/** Largest index to announce, that of some 400,000 files. A larger one would take much memory in both processes. */
const MOST_ANNOUNCED_BYTES = 24 * 1024 * 1024

/**
 * A publish over the daemon's socket. Blocks are produced in the calling process, which may read the
 * source, and appended by the daemon, which owns the store. Closing the client before the commit
 * abandons it.
 */
export class Upload implements BlockSink {
  readonly key: string
  readonly exchange?: BlockExchange
  readonly #client: DaemonClient

  private constructor(client: DaemonClient, begun: PublishBeginResponse) {
    this.#client = client
    this.key = begun.key
    if (begun.exchange === null) return
    this.exchange = {
      layout: begun.exchange,
      appendSlot: (slot, lengths) => client.request(METHODS.publishAppendSlot, { slot, lengths })
    }
  }

  static async begin(client: DaemonClient, request: PublishBeginRequest = {}): Promise<Upload> {
    return new Upload(client, await client.request(METHODS.publishBegin, request))
  }

  /** Appends blocks in order; returns the index of the first in the blobs log. */
  append(blocks: readonly Uint8Array[]): Promise<number> {
    return this.#client.request(METHODS.publishAppend, blocks)
  }

  /** Lets the daemon check the index while it is packed. The commit needs none of it. */
  async announceIndex(packed: Uint8Array): Promise<void> {
    if (packed.length > MOST_ANNOUNCED_BYTES) return
    await this.#client.request(METHODS.publishIndex, asBuffer(packed))
  }

  commit(manifest: Manifest): Promise<PublishCommitResponse> {
    return this.#client.request(METHODS.publishCommit, manifest)
  }
}
