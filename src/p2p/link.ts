import z32 from 'z32'
import { ContainerError } from '../image/errors.ts'

/** Bytes of a drive key and of an encryption key. */
export const KEY_BYTES = 32
const Z32_KEY_LENGTH = 52
const HEX_KEY_LENGTH = 64
const HIGHEST_VERSION = 2 ** 31 - 1

/**
 * Names an image. `dat://<key>[@version]#<secret>`; keys are z-base-32 (52 characters) or hex (64).
 * Without the secret it is a mirror link: it finds and verifies the blocks but reads none of them.
 */
export interface Link {
  readonly key: Buffer
  readonly secret: Buffer | undefined
  /** Image version, 1 for the first publish; undefined for the newest. */
  readonly version: number | undefined
}

/**
 * Reads a link in any accepted form: with or without `dat://`, keys in z-base-32 or hex.
 *
 * @throws ContainerError `BAD_LINK`
 */
export function parseLink(text: string): Link {
  const trimmed = text.trim().replace(/^dat:\/\//i, '')
  const [beforeSecret = '', secretText, ...rest] = trimmed.replace(/\/(?=[#?@]|$)/, '').split('#')
  if (rest.length > 0) throw badLink('it has more than one #')
  const [keyText = '', versionText, ...more] = beforeSecret.replace(/\?.*$/, '').split('@')
  if (more.length > 0) throw badLink('it has more than one @')
  const secret = secretText?.replace(/\?.*$/, '')
  return {
    key: decodeKey(keyText, 'key'),
    secret: secret === undefined ? undefined : decodeKey(secret, 'secret'),
    version: versionText === undefined ? undefined : decodeVersion(versionText)
  }
}

/** Like {@link parseLink}, but a link that can read: one with its secret. */
export function parseFullLink(text: string): Link & { readonly secret: Buffer } {
  const link = parseLink(text)
  if (link.secret === undefined) {
    throw new ContainerError('BAD_LINK', 'this is a mirror link: it has no secret after a #', {
      hint: 'to read or boot the image, ask for its full link; to re-serve it, use `mirror`'
    })
  }
  return { ...link, secret: link.secret }
}

/** Whether `text` looks like an attempt at a link, and not like an image's or a container's name. */
export function looksLikeLink(text: string): boolean {
  return /^dat:\/\//i.test(text) || text.includes('#') || /^[a-z0-9]{40,}(@\d+)?$/i.test(text)
}

/** The canonical form of a link. */
export function formatLink(link: Link): string {
  const version = link.version === undefined ? '' : `@${link.version}`
  const secret = link.secret === undefined ? '' : `#${z32.encode(link.secret)}`
  return `dat://${formatKey(link.key)}${version}${secret}`
}

/** A drive key as it is printed: z-base-32. */
export function formatKey(key: Uint8Array): string {
  return z32.encode(key)
}

function decodeKey(text: string, part: string): Buffer {
  if (text.length === HEX_KEY_LENGTH && /^[0-9a-f]+$/i.test(text)) return Buffer.from(text, 'hex')
  if (text.length !== Z32_KEY_LENGTH) {
    throw badLink(
      `its ${part} has ${text.length} characters instead of ${Z32_KEY_LENGTH} (or ${HEX_KEY_LENGTH} in hex)`
    )
  }
  if (!/^[ybndrfg8ejkmcpqxot1uwisza345h769]+$/.test(text)) {
    throw badLink(`its ${part} has characters that z-base-32 does not use`)
  }
  const key = Buffer.from(z32.decode(text))
  // 52 characters hold 260 bits: the last four must be zero, or the text was altered.
  if (key.length < KEY_BYTES || z32.encode(key.subarray(0, KEY_BYTES)) !== text) {
    throw badLink(`its ${part} was altered`)
  }
  return key.subarray(0, KEY_BYTES)
}

function decodeVersion(text: string): number {
  const version = Number(text)
  if (!/^\d{1,10}$/.test(text) || version < 1 || version > HIGHEST_VERSION) {
    throw badLink(`its version "${text.slice(0, 20)}" is not a whole number from 1`)
  }
  return version
}

function badLink(reason: string): ContainerError {
  return new ContainerError('BAD_LINK', `not a usable link: ${reason}`, {
    hint: 'copy the whole link that `share` printed, in quotes: dat://KEY#SECRET'
  })
}
