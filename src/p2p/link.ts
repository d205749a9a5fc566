import z32 from 'z32'
import { ContainerError } from '../core/errors.ts'
import { formatPeerAddress, readPeerAddress, type PeerAddress } from './peer-address.ts'

/** Begins the link of a channel. */
export const CHANNEL_SCHEME = 'dat-channel://'
/** Bytes of a drive key and of an encryption key. */
export const KEY_BYTES = 32
const Z32_KEY_LENGTH = 52
const HEX_KEY_LENGTH = 64
/** Each is dialed as soon as the link is used. */
const MAX_PEERS = 8
const HIGHEST_VERSION = 2 ** 31 - 1

/**
 * Names an image. `dat://<key>[@version]#<secret>[?peer=<host>:<port>&…]`; keys are z-base-32 (52 characters) or hex (64).
 * Without the secret it is a mirror link: it finds and verifies the blocks but reads none of them.
 */
export interface Link {
  readonly key: Buffer
  readonly secret: Buffer | undefined
  /** Image version, 1 for the first publish; undefined for the newest. */
  readonly version: number | undefined
  /** Seeders that can be connected to without the DHT. @default none */
  readonly peers?: readonly PeerAddress[]
}

/** A link that can read. */
export type FullLink = Link & { readonly secret: Buffer }

/**
 * Reads a link in any accepted form: with or without `dat://`, keys in z-base-32 or hex.
 *
 * @throws ContainerError `BAD_LINK`
 */
export function parseLink(text: string): Link {
  const trimmed = text.trim().replace(/^dat:\/\//i, '')
  const [names = '', ...parameters] = trimmed.split('?')
  const [beforeSecret = '', secretText, ...rest] = names.replace(/\/(?=[#?@]|$)/, '').split('#')
  if (rest.length > 0) throw badLink('it has more than one #')
  const [, version] = /@(\d+)$/.exec(secretText ?? '') ?? []
  if (version !== undefined) {
    const message = `not a usable link: its version comes after the secret`
    const hint = `put it before the #: dat://KEY@${version}#SECRET`
    throw new ContainerError('BAD_LINK', message, { hint })
  }
  const [keyText = '', versionText, ...more] = beforeSecret.split('@')
  if (more.length > 0) throw badLink('it has more than one @')
  return {
    key: decodeKey(keyText, 'key'),
    secret: secretText === undefined ? undefined : decodeKey(secretText, 'secret'),
    version: versionText === undefined ? undefined : decodeVersion(versionText),
    ...decodePeers(parameters.join('&'))
  }
}

/** Like {@link parseLink}, but a link that can read: one with its secret. */
export function parseFullLink(text: string): FullLink {
  return requireSecret(parseLink(text))
}

/** Checks that a link can read. @throws ContainerError `BAD_LINK` for a mirror link */
export function requireSecret(link: Link): FullLink {
  if (link.secret !== undefined) return { ...link, secret: link.secret }
  throw new ContainerError('BAD_LINK', 'this is a mirror link: it has no secret after a #', {
    hint: 'to read or boot the image, ask for its full link; to re-serve it, use `mirror`'
  })
}

/**
 * The image that somebody means: by a link, by a name or a key that a home knows it by, or by the link of a channel, which is
 * resolved before anybody looks for the image. Its text, which JSON has too, is read again by {@link ImageReference.parse}.
 */
export class ImageReference {
  /** Undefined where it is a name or a channel. */
  readonly link: Link | undefined
  /** The text of a channel's link, where it is one. */
  readonly channel: string | undefined
  readonly #name: string

  private constructor(link: Link | undefined, name: string, channel?: string) {
    this.link = link
    this.#name = name
    this.channel = channel
  }

  /** Refers to the image of a link. */
  static to(link: Link): ImageReference {
    return new ImageReference(link, '')
  }

  /**
   * Reads a link, or takes the text for a name. The link of a channel is not read.
   *
   * @throws ContainerError `BAD_LINK` for what looks like a link and is none
   */
  static parse(text: string): ImageReference {
    const trimmed = text.trim()
    if (looksLikeChannelLink(trimmed)) return new ImageReference(undefined, trimmed, trimmed)
    return looksLikeLink(text)
      ? new ImageReference(parseLink(text), '')
      : new ImageReference(undefined, text)
  }

  /** The link, which can read; undefined where this is a name. @throws ContainerError `BAD_LINK` for a mirror link */
  get fullLink(): FullLink | undefined {
    return this.link && requireSecret(this.link)
  }

  /** A name without the version after it, if there is one: `debian` of `debian@2`. Empty for a link. */
  get name(): string {
    return splitVersion(this.#name).name
  }

  /** @returns undefined for the newest @throws ContainerError `BAD_LINK` for a number that no version has */
  get version(): number | undefined {
    if (this.link) return this.link.version
    const { version } = splitVersion(this.#name)
    return version === undefined ? undefined : decodeVersion(version)
  }

  /** The canonical form of a link; a name as it was given. */
  toString(): string {
    return this.link ? formatLink(this.link) : this.#name
  }

  toJSON(): string {
    return this.toString()
  }
}

function splitVersion(text: string): { name: string; version: string | undefined } {
  const [, name = text, version] = /^(.*)@(\d+)$/s.exec(text) ?? []
  return { name, version }
}

/**
 * Whether `text` looks like an attempt at a link, and not like an image's or a container's name, nor like a key or
 * the beginning of one, by which images of this machine are known.
 */
export function looksLikeLink(text: string): boolean {
  return /^dat:\/\//i.test(text) || text.includes('#') || /^[a-z0-9]{53,}(@\d+)?$/i.test(text)
}

/** Whether `text` looks like an attempt at the link of a channel, which names an image that may change. */
export function looksLikeChannelLink(text: string): boolean {
  return text.slice(0, CHANNEL_SCHEME.length).toLowerCase() === CHANNEL_SCHEME
}

/** The canonical form of a link. */
export function formatLink(link: Link): string {
  const version = link.version === undefined ? '' : `@${link.version}`
  const secret = link.secret === undefined ? '' : `#${z32.encode(link.secret)}`
  const peers = formatPeers(link.peers)
  const parameters = peers === '' ? '' : `?${peers}`
  return `dat://${formatKey(link.key)}${version}${secret}${parameters}`
}

/** The parameters of a link that name its peers. */
export function formatPeers(peers: readonly PeerAddress[] = []): string {
  return peers.map((peer) => `peer=${formatPeerAddress(peer)}`).join('&')
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
    throw badLink(`its ${part} has characters that are not in z-base-32`)
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

/**
 * Reads the peers that the parameters of a link name. Parameters that are not known are of a later release: links stay links.
 *
 * @throws ContainerError `BAD_LINK`
 */
export function decodePeers(parameters: string): { peers?: readonly PeerAddress[] } {
  const peers: PeerAddress[] = []
  for (const parameter of parameters.split('&')) {
    const [name, value = ''] = parameter.split('=')
    if (name !== 'peer') continue
    const peer = readPeerAddress(decodeURIComponentOrNothing(value))
    if (peer === undefined) throw badLink('the address of a peer in it is not host:port')
    peers.push(peer)
  }
  if (peers.length > MAX_PEERS) throw badLink(`it has more than ${MAX_PEERS} peers`)
  return peers.length === 0 ? {} : { peers }
}

function decodeURIComponentOrNothing(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return ''
  }
}

function badLink(reason: string): ContainerError {
  return new ContainerError('BAD_LINK', `not a usable link: ${reason}`, {
    hint: 'copy the whole link that `share` printed, in quotes: dat://KEY#SECRET'
  })
}
