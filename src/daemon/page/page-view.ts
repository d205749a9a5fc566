import { isIP } from 'node:net'
import type { OpenDrive } from '../../p2p/transfer/drive-session.ts'
import { formatKey } from '../../p2p/link.ts'
import type { DaemonStatus, ImageListing } from '../../rpc/protocol.ts'
import type {
  PageDaemon,
  PageImage,
  PageImageDetail,
  PagePeer,
  PageStart,
  PageStartSummary,
  PageView
} from '../../rpc/page-protocol.ts'
import type { PeerBytes } from '../keep/peer-bytes.ts'
import { logBits } from './block-bits.ts'

/** What the page shows, asked for when a page asks. */
export interface Observed {
  readonly status: () => DaemonStatus
  readonly images: () => Promise<readonly ImageListing[]>
  /** The logs of an image, where something of them is known. */
  readonly opened: (image: ImageListing) => OpenDrive | undefined
  readonly peerBytes: PeerBytes
  readonly starts: () => readonly PageStart[]
}

/** An open page looks so often. */
const AGAIN_MS = 1_000
/** Looking may take this part of a processor: with very large images, a page looks less often. */
const MOST_SHARE = 0.05

/** What a page asks for beyond the lists, by the ids that it has from a view. */
export interface Asked {
  /** The image whose blocks and peers are shown. */
  readonly imageId: string | null
  readonly startId: string | null
}

/** Looks at everything that a page shows. */
export async function pageView(
  { status, images, opened, peerBytes, starts }: Observed,
  { imageId, startId }: Asked
): Promise<PageView> {
  const began = performance.now()
  const listed = await images()
  const shown = listed.find((image) => idOf(image) === imageId)
  const view = {
    nowMs: Date.now(),
    daemon: daemonOf(status()),
    images: listed.map(imageOf),
    starts: starts().map(summaryOf),
    start: starts().find((start) => startIdOf(start) === startId) ?? null,
    detail: shown === undefined ? null : detailOf(shown, opened(shown), peerBytes)
  }
  const againMs = Math.max(AGAIN_MS, Math.round((performance.now() - began) / MOST_SHARE))
  return { ...view, againMs }
}

function summaryOf(start: PageStart): PageStartSummary {
  const { parts: _parts, ...summary } = start
  return { id: startIdOf(start), ...summary }
}

function startIdOf({ container, at }: PageStart): string {
  return `${container}@${at}`
}

/** Field by field: a listing has the links that read its image. */
function imageOf(image: ImageListing): PageImage {
  const { key, name, role, version, blocksHeld, blocksKnown, complete, kept, pinned } = image
  const { quota, peers, uploadedBytes, downloadedBytes, storedBytes, entryBytes } = image
  const { lastSeen, lastUsed } = image
  return {
    id: idOf(image),
    ...{ key, name, role, version, blocksHeld, blocksKnown, complete, kept, pinned, quota, peers },
    sentBytes: uploadedBytes,
    receivedBytes: downloadedBytes,
    storedBytes: storedBytes + (role === 'mirror' ? entryBytes : 0),
    ...{ lastSeen, lastUsed }
  }
}

/** A home may read an image and mirror it. */
function idOf({ key, role }: Pick<ImageListing, 'key' | 'role'>): string {
  return role === 'mirror' ? `${key}-mirror` : key
}

function daemonOf(status: DaemonStatus): PageDaemon {
  const { version, home, publicKey, startedAt, online, connections, disk } = status
  const { bytesRead, bytesWritten } = status
  return {
    ...{ release: version, home, publicKey, startedAt, online, connections, disk },
    sentBytes: bytesWritten,
    receivedBytes: bytesRead
  }
}

function detailOf(
  image: ImageListing,
  open: OpenDrive | undefined,
  peerBytes: PeerBytes
): PageImageDetail {
  const id = idOf(image)
  if (open === undefined) return { id, logs: [], peers: [] }
  const { blobs, db } = open.cores
  const content = logBits('content', blobs)
  const logs = image.role === 'mirror' ? [content, logBits('entries', db)] : [content]
  return { id, logs, peers: peersOf(image, open, peerBytes) }
}

/** One for each public key: a peer may be connected twice, and each log has it by itself. */
function peersOf(
  { copies }: ImageListing,
  { cores: { blobs, db } }: OpenDrive,
  peerBytes: PeerBytes
): PagePeer[] {
  const peers = new Map<string, PagePeer>()
  for (const peer of [...blobs.peers, ...db.peers]) {
    const key = formatKey(peer.remotePublicKey)
    const { sentBytes, receivedBytes } = peerBytes.of(peer)
    const before = peers.get(key)
    const copy = copies.find((each) => each.peer === key)
    peers.set(key, {
      key,
      address: before?.address ?? addressOf(peer),
      blocksHeld: copy?.blocksHeld ?? 0,
      complete: copy?.complete === true,
      sentBytes: (before?.sentBytes ?? 0) + sentBytes,
      receivedBytes: (before?.receivedBytes ?? 0) + receivedBytes
    })
  }
  return [...peers.values()].sort((one, other) => one.key.localeCompare(other.key))
}

function addressOf({ stream }: OpenDrive['cores']['blobs']['peers'][number]): string | null {
  const { remoteHost, remoteAddress } = stream.rawStream
  const host = (remoteHost ?? remoteAddress)?.replace(/^::ffff:(?=[\d.]+$)/i, '')
  return host !== undefined && isIP(host) !== 0 ? host : null
}
