import { mkdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { writeFileAtomically } from '../../core/atomic-file.ts'
import { formatKey } from '../link.ts'
import type { PeerAddress } from '../peer-address.ts'
import * as v from 'valibot'
import { decodeRecord, hex256, port, type RecordFormat } from '../../core/record-format.ts'

const FORMAT = 1
/** How many peers are kept for one image: those that were connected last. */
const MOST_PEERS = 8
const MOST_FILE_BYTES = 16 * 1024

/** A peer that can be connected to without the DHT, and the key that it has to prove. */
export interface KnownPeer extends PeerAddress {
  /** 64 hex digits. */
  readonly publicKey: string
}

const PEERS: RecordFormat<{ readonly peers: readonly KnownPeer[] }> = {
  field: 'format',
  version: FORMAT,
  shape: v.looseObject({
    peers: v.array(
      v.looseObject({
        publicKey: hex256,
        host: v.pipe(v.string(), v.ip()),
        port
      })
    )
  })
}

/**
 * Where peers were last reached that have an image: one small file an image, which only saves time and may
 * be deleted. What it says is tried, and nothing is believed without the peer's key.
 */
export class KnownPeers {
  readonly #directory: string

  /** @param directory created when there is something to keep */
  constructor(directory: string) {
    this.#directory = directory
  }

  /** Those of an image, the last ones first; none where the file is damaged. @param key drive key */
  async read(key: Buffer): Promise<readonly KnownPeer[]> {
    try {
      const text = await readFile(this.#path(key), 'utf8')
      if (text.length > MOST_FILE_BYTES) return []
      const decoded = decodeRecord(text, PEERS)
      return decoded.kind === 'record' ? decoded.record.peers.slice(0, MOST_PEERS) : []
    } catch {
      return []
    }
  }

  /**
   * Keeps those that are connected now, before those that were.
   *
   * @returns what is kept of an image now
   * @throws ContainerError `DISK_FULL`, `IO`
   */
  async note(
    key: Buffer,
    connected: readonly KnownPeer[],
    before: readonly KnownPeer[]
  ): Promise<readonly KnownPeer[]> {
    const isNew = connected.some((peer) => !before.some((other) => isSame(peer, other)))
    if (!isNew) return before
    const gone = before.filter((peer) =>
      connected.every(({ publicKey }) => publicKey !== peer.publicKey)
    )
    const peers = [...connected, ...gone].slice(0, MOST_PEERS)
    await mkdir(this.#directory, { recursive: true, mode: 0o700 })
    await writeFileAtomically(this.#path(key), `${JSON.stringify({ format: FORMAT, peers })}\n`)
    return peers
  }

  /** Forgets the peers of an image that is forgotten here. */
  async forget(key: Buffer): Promise<void> {
    await rm(this.#path(key), { force: true })
  }

  #path(key: Buffer): string {
    return join(this.#directory, `${formatKey(key)}.json`)
  }
}

function isSame(one: KnownPeer, other: KnownPeer): boolean {
  return one.publicKey === other.publicKey && one.host === other.host && one.port === other.port
}
