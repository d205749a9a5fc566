import { createCipheriv, createDecipheriv, createHmac, randomBytes } from 'node:crypto'

/** DNS-SD's type of service (RFC 6763). */
export const SERVICE = '_dat-container._tcp.local'

const CIPHER = 'chacha20-poly1305'
const NONCE_BYTES = 12
const PROOF_BYTES = 16
const TAG_BYTES = 16
const PUBLIC_KEY_BYTES = 32

/**
 * The name that is asked for on a local network: a subtype of the service. It is made of the drive's key by HMAC, so that
 * who knows the key knows the name, and nobody gets back from the name to the key or to the drive's topic in the DHT.
 */
export function nameOf(key: Buffer): string {
  const tag = derived('name', key).subarray(0, TAG_BYTES)
  return `_${tag.toString('hex')}._sub.${SERVICE}`
}

/** Encrypts the public key of a home for those who know the drive's key, so that others on the network cannot follow the home. */
export function sealPublicKey(key: Buffer, publicKey: Buffer): string {
  const nonce = randomBytes(NONCE_BYTES)
  const cipher = createCipheriv(CIPHER, derived('seal', key), nonce, { authTagLength: PROOF_BYTES })
  const sealed = Buffer.concat([cipher.update(publicKey), cipher.final()])
  return Buffer.concat([nonce, sealed, cipher.getAuthTag()]).toString('base64url')
}

/** @returns undefined for anything that {@link sealPublicKey} did not make with this drive's key */
export function openPublicKey(key: Buffer, text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64url')
  if (bytes.length !== NONCE_BYTES + PUBLIC_KEY_BYTES + PROOF_BYTES) return undefined
  const nonce = bytes.subarray(0, NONCE_BYTES)
  const sealed = bytes.subarray(NONCE_BYTES, -PROOF_BYTES)
  try {
    const decipher = createDecipheriv(CIPHER, derived('seal', key), nonce, {
      authTagLength: PROOF_BYTES
    })
    decipher.setAuthTag(bytes.subarray(-PROOF_BYTES))
    return Buffer.concat([decipher.update(sealed), decipher.final()])
  } catch {
    return undefined
  }
}

function derived(use: 'name' | 'seal', key: Buffer): Buffer {
  return createHmac('sha256', `dat-container/lan/1/${use}`).update(key).digest()
}
