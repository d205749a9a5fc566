import type { BlindPeers } from '../../p2p/peers/blind-peers.ts'
import type { OpenDrive } from '../../p2p/transfer/drive-session.ts'
import { entryId, type CatalogEntry } from '../catalog/image-catalog.ts'

/** Has blind peers asked to keep the images that the list of images entrusts to them. */
export class EntrustedImages {
  readonly #peers: BlindPeers
  /** What ends the requests for an image, by {@link entryId}. */
  readonly #ends = new Map<string, readonly (() => void)[]>()

  constructor(peers: BlindPeers) {
    this.#peers = peers
  }

  /** Asks from now on what an entry says, instead of what was asked before. */
  begin(entry: CatalogEntry, { cores: { db, blobs } }: OpenDrive): void {
    this.end(entry)
    const { blindPeers = [] } = entry
    if (blindPeers.length === 0) return
    const logs = { announced: db, others: [blobs] }
    this.#ends.set(
      entryId(entry),
      blindPeers.map((key) => this.#peers.ask(Buffer.from(key, 'hex'), logs))
    )
  }

  end(entry: CatalogEntry): void {
    const id = entryId(entry)
    for (const end of this.#ends.get(id) ?? []) end()
    this.#ends.delete(id)
  }
}
