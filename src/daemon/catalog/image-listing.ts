import type { DriveCores } from '../../p2p/drive/drive-cores.ts'
import type { OpenDrive } from '../../p2p/transfer/drive-session.ts'
import { formatKey, formatLink } from '../../p2p/link.ts'
import type { PeerAddress } from '../../p2p/peer-address.ts'
import type { CatalogEntry } from './image-catalog.ts'
import type { ImageListing, PeerCopy } from '../../rpc/protocol.ts'

export interface ListedParts {
  /** Its logs, where something of them is known. */
  readonly open: OpenDrive | undefined
  /** For its links. */
  readonly peers: readonly PeerAddress[]
  /** Whether all that is to be kept of it is here; undefined where nothing is. */
  readonly isComplete: boolean | undefined
  /** What it sent and received, and when; times of `Date.now`. */
  readonly usage: {
    readonly uploadedBytes: number
    readonly downloadedBytes: number
    readonly seenMs: number | null
    readonly usedMs: number | null
  }
}

/** Describes an image of this machine to clients. */
export function listImage(
  entry: CatalogEntry,
  { open, peers, isComplete, usage }: ListedParts
): ImageListing {
  const key = Buffer.from(entry.key, 'hex')
  const secret = entry.secret ? Buffer.from(entry.secret, 'hex') : undefined
  // Only a mirror serves all entries; nobody who reads an image needs them.
  const logs = open
    ? entry.role === 'mirror'
      ? [open.cores.blobs, open.cores.db]
      : [open.cores.blobs]
    : []
  const blocksHeld = logs.reduce((sum, log) => sum + heldBlocks(log), 0)
  const blocksKnown = logs.reduce((sum, { length }) => sum + length, 0)
  const isConnected = (open?.cores.blobs.peers.length ?? 0) > 0
  return {
    key: formatKey(key),
    name: entry.name,
    role: entry.role,
    version: entry.version,
    link: secret ? formatLink({ key, secret, version: undefined, peers }) : null,
    mirrorLink: formatLink({ key, secret: undefined, version: undefined, peers }),
    blocksHeld,
    blocksOffered: logs.reduce((sum, log) => sum + offeredBlocks(log), 0),
    blocksKnown,
    complete: isComplete ?? (blocksKnown > 0 && blocksHeld === blocksKnown),
    kept: keptAs(entry),
    pinned: entry.pinned === true,
    quota: entry.quota ?? null,
    blindPeers: (entry.blindPeers ?? []).map((peer) => formatKey(Buffer.from(peer, 'hex'))),
    peers: open?.cores.blobs.peers.length ?? 0,
    copies: open ? copiesOf(open) : [],
    uploadedBytes: usage.uploadedBytes,
    downloadedBytes: usage.downloadedBytes,
    lastSeen: isConnected ? new Date().toISOString() : textOf(usage.seenMs),
    lastUsed: textOf(usage.usedMs),
    storedBytes: open?.cores.blobs.byteLength ?? 0,
    entryBytes: open?.cores.db.byteLength ?? 0,
    createdAt: entry.createdAt,
    forked: entry.forked === true,
    filesListed: entry.unlisted !== true
  }
}

function keptAs({ role, follow, kept, held, quota }: CatalogEntry): ImageListing['kept'] {
  if (follow && quota !== undefined) return 'share'
  if (follow) return held === undefined ? 'follows' : 'held'
  if (kept !== undefined) return kept.version === null ? 'follows' : kept.version
  return role === 'owner' ? 'own' : null
}

/** How much of the content each connected peer has, as far as it has told. */
function copiesOf({ cores, fetcher }: OpenDrive): PeerCopy[] {
  const { length } = cores.blobs
  return fetcher.peers.map((peer) => {
    let blocksHeld = 0
    if (peer.isWhole) blocksHeld = length
    else for (let block = 0; block < length; block++) if (peer.has(block)) blocksHeld++
    return { peer: formatKey(Buffer.from(peer.id, 'hex')), blocksHeld, complete: peer.isWhole }
  })
}

function textOf(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString()
}

function offeredBlocks({ core, length, peers }: DriveCores['blobs']): number {
  let offered = 0
  for (let block = 0; block < length; block++) {
    if (core.bitfield.get(block) || peers.some((peer) => peer._remoteHasBlock(block))) offered++
  }
  return offered
}

function heldBlocks({ core, length }: DriveCores['blobs']): number {
  let held = 0
  for (let block = 0; block < length; block++) if (core.bitfield.get(block)) held++
  return held
}
