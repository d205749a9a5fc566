import { ContainerError, isContainerError } from '../core/errors.ts'
import { parseLink } from '../p2p/link.ts'

/** Environment variable that lists the only peers of a private swarm. */
export const ALLOW_VARIABLE = 'DAT_CONTAINER_ALLOW'

const HINT = 'give what `dat-container identity` prints there; several keys are separated by commas'

/**
 * Reads public keys, as `identity` prints them or in hex, separated by commas.
 *
 * @returns the keys in hex; undefined, for everybody, where there is no text
 * @throws ContainerError `USAGE`, also for a list without a key
 */
export function parseAllow(text: string | undefined): ReadonlySet<string> | undefined {
  if (!text) return undefined
  const words = text
    .split(',')
    .map((word) => word.trim())
    .filter((word) => word !== '')
  if (words.length === 0) {
    throw new ContainerError('USAGE', 'the list of homes to connect with is empty', { hint: HINT })
  }
  return new Set(words.map(parsePublicKey))
}

/** @returns hex @throws ContainerError `USAGE` */
export function parsePublicKey(text: string): string {
  try {
    const { key, secret, version, peers } = parseLink(text)
    if (secret === undefined && version === undefined && peers === undefined)
      return key.toString('hex')
  } catch (cause) {
    if (!isContainerError(cause)) throw cause
  }
  throw noKey(text)
}

function noKey(text: string): ContainerError {
  return new ContainerError('USAGE', `not the public key of a home: ${JSON.stringify(text)}`, {
    hint: HINT
  })
}
