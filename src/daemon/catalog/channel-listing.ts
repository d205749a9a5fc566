import { decodePublicRecord, decodeRecord, mirrorLinkOf } from '../../p2p/channel/channel-record.ts'
import { formatChannelLink } from '../../p2p/channel-link.ts'
import { formatKey, formatLink, type Link } from '../../p2p/link.ts'
import type { PeerAddress } from '../../p2p/peer-address.ts'
import type { ChannelListing } from '../../rpc/channel-protocol.ts'
import type { ChannelEntry } from './channel-catalog.ts'

/** A record, as far as this home can read it. */
export interface TakenRecord {
  /** Number of the record, from 1. */
  readonly number: number
  /** The image that it names; without secret and version where this home has no secret of the channel. */
  readonly link: Link
  /** When its owner set it; undefined where this home cannot read that. */
  readonly setMs: number | undefined
}

/**
 * Reads a record with what this home knows of its channel.
 *
 * @throws ContainerError `BAD_CHANNEL`, `UNSUPPORTED_VERSION`, `WRONG_SECRET`
 */
export function recordOf(
  { key, secret }: ChannelEntry,
  { number, bytes }: { readonly number: number; readonly bytes: Buffer }
): TakenRecord {
  if (secret === null) {
    return { number, link: mirrorLinkOf(decodePublicRecord(bytes)), setMs: undefined }
  }
  const place = { channel: Buffer.from(key, 'hex'), number }
  return { number, ...decodeRecord(place, Buffer.from(secret, 'hex'), bytes) }
}

/**
 * Describes a channel to clients.
 *
 * @param taken its newest record; undefined where none can be read
 * @param options.peers for its links
 * @param options.connected how many peers that have it are connected
 */
export function listChannel(
  entry: ChannelEntry,
  taken: TakenRecord | undefined,
  { peers, connected }: { readonly peers: readonly PeerAddress[]; readonly connected: number }
): ChannelListing {
  const key = Buffer.from(entry.key, 'hex')
  const secret = entry.secret === null ? undefined : Buffer.from(entry.secret, 'hex')
  return {
    key: formatKey(key),
    name: entry.name,
    role: entry.namespace !== null ? 'owner' : secret ? 'reader' : 'mirror',
    link: secret ? formatChannelLink({ key, secret, peers }) : null,
    mirrorLink: formatChannelLink({ key, secret: undefined, peers }),
    record: entry.seen,
    image: taken ? formatLink(taken.link) : null,
    setAt: taken?.setMs === undefined ? null : new Date(taken.setMs).toISOString(),
    follows: entry.follow?.how ?? null,
    peers: connected,
    forked: entry.forked === true
  }
}
