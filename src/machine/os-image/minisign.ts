/**
 * Signatures in the format of minisign (https://jedisct1.github.io/minisign/): text files of base64
 * lines and comments, Ed25519 inside.
 */
import { createHash, createPublicKey, verify, type KeyObject } from 'node:crypto'
import { ContainerError } from '../../core/errors.ts'

/** A public key and the number by which signatures name it. */
export interface MinisignPublicKey {
  /** The line of base64 that it was read from: equal keys have equal lines. */
  readonly line: string
  /** 8 bytes. */
  readonly keyId: Buffer
  readonly key: KeyObject
}

const ALGORITHM_BYTES = 2
const KEY_ID_BYTES = 8
const PUBLIC_KEY_BYTES = 32
const SIGNATURE_BYTES = 64
/** The signature is of the message itself. */
const LEGACY = 'Ed'
/** The signature is of the message's BLAKE2b-512. */
const PREHASHED = 'ED'
/** RFC 8410: what DER has before the 32 bytes of an Ed25519 public key. */
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex')
const TRUSTED_COMMENT = 'trusted comment: '
const UNTRUSTED_COMMENT = 'untrusted comment:'

/**
 * Reads a minisign public key (https://jedisct1.github.io/minisign): the base64 line alone, or a file with a
 * comment above it.
 *
 * @throws ContainerError `USAGE`
 */
export function parsePublicKey(text: string): MinisignPublicKey {
  const lines = text.trim().split(/\r?\n/)
  const line = lines.length === 2 && lines[0]?.startsWith(UNTRUSTED_COMMENT) ? lines[1] : lines[0]
  const bytes = decode(line ?? '', ALGORITHM_BYTES + KEY_ID_BYTES + PUBLIC_KEY_BYTES)
  if (bytes === undefined || lines.length > 2 || algorithmOf(bytes) !== LEGACY) {
    throw new ContainerError('USAGE', 'not a minisign public key', {
      hint: 'give the line that begins with RW, or the .pub file'
    })
  }
  const raw = bytes.subarray(ALGORITHM_BYTES + KEY_ID_BYTES)
  return {
    line: bytes.toString('base64'),
    keyId: keyIdOf(bytes),
    key: createPublicKey({
      key: Buffer.concat([SPKI_PREFIX, raw]),
      format: 'der',
      type: 'spki'
    })
  }
}

/**
 * Checks a signature of `message`, and that of its trusted comment.
 *
 * @param signature text of the `.minisig` file
 * @returns the trusted comment
 * @throws ContainerError `BAD_SOURCE` for anything but a valid signature by this key
 */
export function verifyMinisign(
  message: Uint8Array,
  signature: string,
  publicKey: MinisignPublicKey
): string {
  const { bytes, trustedComment, globalSignature } = parseSignature(signature)
  if (!keyIdOf(bytes).equals(publicKey.keyId)) {
    throw refused(
      `it was made with key ${formatKeyId(keyIdOf(bytes))}, not ${formatKeyId(publicKey.keyId)}`
    )
  }
  const signed =
    algorithmOf(bytes) === PREHASHED ? createHash('blake2b512').update(message).digest() : message
  const own = bytes.subarray(ALGORITHM_BYTES + KEY_ID_BYTES)
  if (!verify(null, signed, publicKey.key, own)) throw refused('it belongs to something else')
  const commented = Buffer.concat([own, Buffer.from(trustedComment)])
  if (!verify(null, commented, publicKey.key, globalSignature)) {
    throw refused('its trusted comment was changed')
  }
  return trustedComment
}

/** Formats a public key as the base64 line that {@link parsePublicKey} reads. */
export function formatPublicKey({ keyId, key }: MinisignPublicKey): string {
  const raw = key.export({ format: 'der', type: 'spki' }).subarray(-PUBLIC_KEY_BYTES)
  return Buffer.concat([Buffer.from(LEGACY), keyId, raw]).toString('base64')
}

/** Formats the id of a key as minisign prints it. */
export function formatKeyId(keyId: Uint8Array): string {
  return Buffer.from(keyId.toReversed()).toString('hex').toUpperCase()
}

function parseSignature(text: string): {
  bytes: Buffer
  trustedComment: string
  globalSignature: Buffer
} {
  const [comment = '', main = '', trusted = '', global = '', ...rest] = text
    .replace(/\r?\n$/, '')
    .split(/\r?\n/)
  const bytes = decode(main, ALGORITHM_BYTES + KEY_ID_BYTES + SIGNATURE_BYTES)
  const globalSignature = decode(global, SIGNATURE_BYTES)
  if (
    !comment.startsWith(UNTRUSTED_COMMENT) ||
    !trusted.startsWith(TRUSTED_COMMENT) ||
    bytes === undefined ||
    globalSignature === undefined ||
    rest.length > 0
  ) {
    throw refused('it is not a minisign signature')
  }
  const algorithm = algorithmOf(bytes)
  if (algorithm !== LEGACY && algorithm !== PREHASHED) {
    throw refused('it uses an unknown algorithm')
  }
  return { bytes, trustedComment: trusted.slice(TRUSTED_COMMENT.length), globalSignature }
}

/** Canonical base64 of exactly `length` bytes, or undefined. */
function decode(text: string, length: number): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64')
  return bytes.length === length && bytes.toString('base64') === text ? bytes : undefined
}

function algorithmOf(bytes: Buffer): string {
  return bytes.toString('latin1', 0, ALGORITHM_BYTES)
}

function keyIdOf(bytes: Buffer): Buffer {
  return bytes.subarray(ALGORITHM_BYTES, ALGORITHM_BYTES + KEY_ID_BYTES)
}

function refused(why: string): ContainerError {
  return new ContainerError('BAD_SOURCE', `the signature is not valid: ${why}`, {
    hint: 'get file and signature from their publisher again'
  })
}
