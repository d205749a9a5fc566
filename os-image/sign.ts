import { createHash, createPrivateKey, generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { hash } from 'hypercore-crypto'
import { ContainerError } from '../src/core/errors.ts'

/** A minisign key to sign with. */
export interface MinisignSecretKey {
  /** 8 bytes. */
  readonly keyId: Buffer
  /** The seed of 32 bytes and the public key of 32 bytes. */
  readonly secret: Buffer
}

const ALGORITHM = Buffer.from('Ed')
const PREHASHED = Buffer.from('ED')
const CHECKSUM = Buffer.from('B2')
/** The key is as it is: no password. */
const NO_DERIVATION = Buffer.alloc(2)
/** Salt and two limits of the derivation. */
const DERIVATION_BYTES = 32 + 8 + 8
const KEY_ID_BYTES = 8
const SECRET_BYTES = 64
const SEED_BYTES = 32
const CHECKSUM_BYTES = 32
const KEY_ID_AT = 6 + DERIVATION_BYTES
const KEY_FILE_BYTES = KEY_ID_AT + KEY_ID_BYTES + SECRET_BYTES + CHECKSUM_BYTES
/** RFC 8410: what DER has before the seed of an Ed25519 key. */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex')

/**
 * Makes a pair of keys in minisign's format (https://jedisct1.github.io/minisign/).
 *
 * @returns the texts of the two files; the secret one has no password
 */
export function generateKeys(): { secretKey: string; publicKey: string } {
  const { privateKey } = generateKeyPairSync('ed25519')
  const { d = '', x = '' } = privateKey.export({ format: 'jwk' })
  const publicBytes = Buffer.from(x, 'base64url')
  const secret = Buffer.concat([Buffer.from(d, 'base64url'), publicBytes])
  const keyId = randomBytes(KEY_ID_BYTES)
  const name = Buffer.from(keyId.toReversed()).toString('hex').toUpperCase()
  const file = Buffer.concat([
    ALGORITHM,
    NO_DERIVATION,
    CHECKSUM,
    Buffer.alloc(DERIVATION_BYTES),
    keyId,
    secret,
    checksum(keyId, secret)
  ])
  const publicFile = Buffer.concat([ALGORITHM, keyId, publicBytes])
  return {
    secretKey: `untrusted comment: minisign secret key ${name}\n${file.toString('base64')}\n`,
    publicKey: `untrusted comment: minisign public key ${name}\n${publicFile.toString('base64')}\n`
  }
}

/**
 * Reads a secret key in minisign's format.
 *
 * @throws ContainerError `USAGE` for what is none, and for one that a password protects
 */
export function parseSecretKey(text: string): MinisignSecretKey {
  const bytes = Buffer.from(text.trim().split(/\r?\n/)[1] ?? '', 'base64')
  if (bytes.length !== KEY_FILE_BYTES || !bytes.subarray(0, 2).equals(ALGORITHM)) {
    throw new ContainerError('USAGE', 'not a minisign secret key', {
      hint: 'make one: npm run os-image -- keygen FILE'
    })
  }
  if (!bytes.subarray(2, 4).equals(NO_DERIVATION)) {
    throw new ContainerError('USAGE', 'a password protects this secret key', {
      hint: 'give one without (minisign -C -W removes it), or make one: npm run os-image -- keygen FILE'
    })
  }
  const keyId = bytes.subarray(KEY_ID_AT, KEY_ID_AT + KEY_ID_BYTES)
  const secret = bytes.subarray(KEY_ID_AT + KEY_ID_BYTES, -CHECKSUM_BYTES)
  if (!checksum(keyId, secret).equals(bytes.subarray(-CHECKSUM_BYTES))) {
    throw new ContainerError('USAGE', 'this secret key is damaged: its checksum differs')
  }
  return { keyId, secret }
}

/** Reads the file of a secret key. @throws ContainerError `USAGE`, `NOT_FOUND` */
export async function loadSecretKey(path: string): Promise<MinisignSecretKey> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (cause) {
    throw new ContainerError('NOT_FOUND', `cannot read the secret key ${path}`, { cause })
  }
  return parseSecretKey(text)
}

/**
 * The text of `manifest.json.minisig`: a signature of the manifest's BLAKE2b-512, and one that binds the
 * trusted comment to it. Equal input gives equal text.
 *
 * @param epoch seconds since 1970, for the comment
 */
export function signManifest(
  { keyId, secret }: MinisignSecretKey,
  manifest: string,
  epoch: number
): string {
  const key = createPrivateKey({
    key: Buffer.concat([PKCS8_PREFIX, secret.subarray(0, SEED_BYTES)]),
    format: 'der',
    type: 'pkcs8'
  })
  const signature = sign(null, createHash('blake2b512').update(manifest).digest(), key)
  const comment = `timestamp:${epoch}\tfile:manifest.json\thashed`
  const global = sign(null, Buffer.concat([signature, Buffer.from(comment)]), key)
  return [
    'untrusted comment: signature of a HyperOS manifest',
    Buffer.concat([PREHASHED, keyId, signature]).toString('base64'),
    `trusted comment: ${comment}`,
    global.toString('base64'),
    ''
  ].join('\n')
}

function checksum(keyId: Buffer, secret: Buffer): Buffer {
  // BLAKE2b of 32 bytes, which OpenSSL does not offer.
  return hash(Buffer.concat([ALGORITHM, keyId, secret]))
}
