import { createHash } from 'node:crypto'

/** The placeholder for a manifest's own digest while it is computed. */
export const UNSET_DIGEST = '0'.repeat(64)

/**
 * Puts the digest into a manifest's text: the SHA-256 of the text with {@link UNSET_DIGEST} in its place.
 *
 * @param text with {@link UNSET_DIGEST} once
 */
export function sealManifest(text: string): string {
  return text.replace(UNSET_DIGEST, sha256(text))
}

/** Tells whether `digest` occurs once in `text` and is what {@link sealManifest} put there. */
export function isSealed(text: string, digest: string): boolean {
  const parts = text.split(digest)
  return parts.length === 2 && sha256(parts.join(UNSET_DIGEST)) === digest
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
