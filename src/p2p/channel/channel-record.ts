import { createCipheriv, createDecipheriv, createHmac, randomBytes } from 'node:crypto'
import { ContainerError } from '../../core/errors.ts'
import { decodePeers, formatPeers, KEY_BYTES, type FullLink, type Link } from '../link.ts'
import type { PeerAddress } from '../peer-address.ts'

/*
 * A record, version 1; integers are little-endian:
 *
 *   0  4  "DCCH"
 *   4  1  version of the format
 *   5 32  key of the image
 *  37 32  salt
 *  69 44  sealed: 32 secret of the image, 4 version of the image or 0 for the newest, 8 time in ms since 1970
 * 113 16  proof of what is sealed, of all other fields, of the channel's key and of the record's number
 * 129  …  peers that have the image, as in the parameters of a link
 */
const MAGIC = Buffer.from('DCCH')
const FORMAT_VERSION = 1
const VERSION_AT = MAGIC.length
const KEY_AT = VERSION_AT + 1
const SALT_AT = KEY_AT + KEY_BYTES
const SEALED_AT = SALT_AT + KEY_BYTES
const SEALED_BYTES = KEY_BYTES + 4 + 8
const PROOF_AT = SEALED_AT + SEALED_BYTES
const PROOF_BYTES = 16
const PEERS_AT = PROOF_AT + PROOF_BYTES
const MAX_PEERS_BYTES = 512
/** Longest record. */
export const MAX_RECORD_BYTES = PEERS_AT + MAX_PEERS_BYTES

const CIPHER = 'chacha20-poly1305'
/** Each record has a key of its own. */
const NONCE = Buffer.alloc(12)
/** The last moment that a `Date` can hold. */
const MAX_TIME_MS = 8.64e15

/** Where a record stands: in which channel, and as which one of it. */
export interface RecordPlace {
  /** Key of the channel. */
  readonly channel: Buffer
  /** Number of the record in its channel, from 1. */
  readonly number: number
}

/** What everybody reads who knows the channel's key. */
export interface PublicRecord {
  /** Key of the image. */
  readonly key: Buffer
  readonly peers: readonly PeerAddress[]
}

/** What only those read who know the channel's secret. */
export interface ChannelRecord {
  readonly link: FullLink
  /** When its publisher set it, of `Date.now` there. */
  readonly setMs: number
}

/**
 * Makes the bytes of a record.
 *
 * @param secret of the channel
 * @throws ContainerError `USAGE` where the addresses of its peers are too long
 */
export function encodeRecord(
  place: RecordPlace,
  secret: Buffer,
  { link, setMs }: ChannelRecord
): Buffer {
  const peers = Buffer.from(formatPeers(link.peers))
  if (peers.length > MAX_PEERS_BYTES) {
    throw new ContainerError('USAGE', 'the link names too many peers for the record of a channel', {
      hint: `leave some ?peer= out: together they may have ${MAX_PEERS_BYTES} bytes`
    })
  }
  const salt = randomBytes(KEY_BYTES)
  const head = Buffer.concat([MAGIC, Buffer.of(FORMAT_VERSION), link.key, salt])
  const plain = Buffer.alloc(SEALED_BYTES)
  link.secret.copy(plain)
  plain.writeUInt32LE(link.version ?? 0, KEY_BYTES)
  plain.writeBigUInt64LE(BigInt(setMs), KEY_BYTES + 4)
  const cipher = createCipheriv(CIPHER, sealingKey(secret, salt), NONCE, {
    authTagLength: PROOF_BYTES
  })
  cipher.setAAD(boundTo(place, head, peers), { plaintextLength: SEALED_BYTES })
  const sealed = Buffer.concat([cipher.update(plain), cipher.final()])
  return Buffer.concat([head, sealed, cipher.getAuthTag(), peers])
}

/**
 * Reads what a record tells everybody.
 *
 * @throws ContainerError `BAD_CHANNEL`, `UNSUPPORTED_VERSION`
 */
export function decodePublicRecord(bytes: Buffer): PublicRecord {
  if (bytes.length < KEY_AT || !bytes.subarray(0, MAGIC.length).equals(MAGIC)) {
    throw badRecord('it is no record of a channel')
  }
  const version = bytes.readUInt8(VERSION_AT)
  if (version !== FORMAT_VERSION) {
    throw new ContainerError(
      'UNSUPPORTED_VERSION',
      `the channel has a record of format ${version}`,
      {
        hint: 'a later release of dat-container set it: use that release'
      }
    )
  }
  if (bytes.length < PEERS_AT || bytes.length > MAX_RECORD_BYTES) {
    throw badRecord(`it has ${bytes.length} bytes`)
  }
  const text = bytes.subarray(PEERS_AT).toString('latin1')
  return { key: Buffer.from(bytes.subarray(KEY_AT, SALT_AT)), peers: readPeers(text) }
}

/**
 * Reads all of a record.
 *
 * @param secret of the channel
 * @throws ContainerError `BAD_CHANNEL`, `UNSUPPORTED_VERSION`; `WRONG_SECRET` where the secret is another, or the record was made for
 *   another place
 */
export function decodeRecord(place: RecordPlace, secret: Buffer, bytes: Buffer): ChannelRecord {
  const { key, peers } = decodePublicRecord(bytes)
  const plain = unseal(place, secret, bytes)
  const version = plain.readUInt32LE(KEY_BYTES)
  const setMs = Number(plain.readBigUInt64LE(KEY_BYTES + 4))
  if (version > 2 ** 31 - 1 || setMs > MAX_TIME_MS) {
    throw badRecord('its version or its time is out of range')
  }
  const link: FullLink = {
    key,
    secret: Buffer.from(plain.subarray(0, KEY_BYTES)),
    version: version === 0 ? undefined : version,
    ...(peers.length > 0 && { peers })
  }
  return { link, setMs }
}

/** The link of a record's image for somebody who cannot read it. */
export function mirrorLinkOf({ key, peers }: PublicRecord): Link {
  return { key, secret: undefined, version: undefined, ...(peers.length > 0 && { peers }) }
}

function unseal(place: RecordPlace, secret: Buffer, bytes: Buffer): Buffer {
  const salt = bytes.subarray(SALT_AT, SEALED_AT)
  const decipher = createDecipheriv(CIPHER, sealingKey(secret, salt), NONCE, {
    authTagLength: PROOF_BYTES
  })
  decipher.setAAD(boundTo(place, bytes.subarray(0, SEALED_AT), bytes.subarray(PEERS_AT)), {
    plaintextLength: SEALED_BYTES
  })
  decipher.setAuthTag(bytes.subarray(PROOF_AT, PEERS_AT))
  try {
    const plain = decipher.update(bytes.subarray(SEALED_AT, PROOF_AT))
    return Buffer.concat([plain, decipher.final()])
  } catch (cause) {
    throw new ContainerError('WRONG_SECRET', 'the secret in this link does not open the channel', {
      hint: 'copy the whole link again: the part after # belongs to the part before it',
      cause
    })
  }
}

/** Only the one way to write a list of addresses is taken. */
function readPeers(text: string): readonly PeerAddress[] {
  if (text === '') return []
  try {
    const { peers } = decodePeers(text)
    if (formatPeers(peers) === text) return peers ?? []
  } catch (cause) {
    throw badRecord('its peers cannot be read', cause)
  }
  throw badRecord('its peers are not written as usual')
}

function sealingKey(secret: Buffer, salt: Buffer): Buffer {
  return createHmac('sha256', secret).update('dat-container/channel/1/seal').update(salt).digest()
}

/** The sealed part of one record proves nothing in another place. */
function boundTo({ channel, number }: RecordPlace, head: Buffer, peers: Buffer): Buffer {
  const place = Buffer.alloc(8)
  place.writeBigUInt64LE(BigInt(number))
  return Buffer.concat([channel, place, head, peers])
}

function badRecord(why: string, cause?: unknown): ContainerError {
  return new ContainerError('BAD_CHANNEL', `the channel's newest record is refused: ${why}`, {
    hint: 'whoever set the channel has to set it again with a sound release',
    cause
  })
}
