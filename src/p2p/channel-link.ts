import { ContainerError, isContainerError } from '../core/errors.ts'
import { CHANNEL_SCHEME, formatLink, looksLikeChannelLink, parseLink, type Link } from './link.ts'

/**
 * Names a channel. `dat-channel://<key>[#<secret>][?peer=<host>:<port>&…]`, with keys as in a {@link Link}. Without the secret it
 * tells only which image the channel names, and not how to read that.
 */
export type ChannelLink = Omit<Link, 'version'>

/**
 * Reads the link of a channel.
 *
 * @throws ContainerError `BAD_LINK`
 */
export function parseChannelLink(text: string): ChannelLink {
  const trimmed = text.trim()
  if (!looksLikeChannelLink(trimmed)) {
    throw new ContainerError('BAD_LINK', 'not the link of a channel', { hint: WHOLE })
  }
  try {
    // The same grammar, but for the version.
    const { version, ...link } = parseLink(trimmed.slice(CHANNEL_SCHEME.length))
    if (version === undefined) return link
  } catch (cause) {
    if (!isContainerError(cause, 'BAD_LINK')) throw cause
    throw new ContainerError('BAD_LINK', `in the link of a channel: ${cause.message}`, {
      hint: WHOLE,
      cause
    })
  }
  throw new ContainerError('BAD_LINK', 'the link of a channel has no @version', {
    hint: 'whoever sets the channel may name a version of an image'
  })
}

/** The canonical form of a channel's link. */
export function formatChannelLink(link: ChannelLink): string {
  return formatLink({ ...link, version: undefined }).replace('dat://', CHANNEL_SCHEME)
}

const WHOLE =
  'copy the whole link that `channel create` printed, in quotes: dat-channel://KEY#SECRET'
