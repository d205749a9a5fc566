import type { DriveCores } from '../../p2p/drive/drive-cores.ts'
import type { OpenDrive } from '../../p2p/transfer/drive-session.ts'
import { formatKey, formatLink } from '../../p2p/link.ts'
import type { PeerAddress } from '../../p2p/peer-address.ts'
import type { CatalogEntry } from './image-catalog.ts'
import type { ImageListing } from '../../rpc/protocol.ts'

/**
 * Describes an image of this machine to clients.
 *
 * @param open its logs, where something of them is known
 * @param peers for its links
 */
export function listImage(
  entry: CatalogEntry,
  open: OpenDrive | undefined,
  peers: readonly PeerAddress[]
): ImageListing {
  const key = Buffer.from(entry.key, 'hex')
  const secret = entry.secret ? Buffer.from(entry.secret, 'hex') : undefined
  // Only a mirror serves all entries; nobody who reads an image needs them.
  const logs = open
    ? entry.role === 'mirror'
      ? [open.cores.blobs, open.cores.db]
      : [open.cores.blobs]
    : []
  return {
    key: formatKey(key),
    name: entry.name,
    role: entry.role,
    version: entry.version,
    link: secret ? formatLink({ key, secret, version: undefined, peers }) : null,
    mirrorLink: formatLink({ key, secret: undefined, version: undefined, peers }),
    blocksHeld: logs.reduce((sum, log) => sum + heldBlocks(log), 0),
    blocksOffered: logs.reduce((sum, log) => sum + offeredBlocks(log), 0),
    blocksKnown: logs.reduce((sum, { length }) => sum + length, 0),
    peers: open?.cores.blobs.peers.length ?? 0,
    storedBytes: open?.cores.blobs.byteLength ?? 0,
    entryBytes: open?.cores.db.byteLength ?? 0,
    createdAt: entry.createdAt,
    forked: entry.forked === true,
    filesListed: entry.unlisted !== true
  }
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
