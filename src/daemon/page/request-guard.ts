import type { IncomingMessage } from 'node:http'

/** Names by which a browser of this machine knows this machine. */
const OWN_HOSTS: ReadonlySet<string> = new Set(['127.0.0.1', '[::1]', 'localhost'])
const PORT = /:\d{1,5}$/

/**
 * Tells why a request is none of the page itself: a browser may have been sent here by another site.
 *
 * - A site whose name was made to resolve to loopback (DNS rebinding) shows in `Host`. The port is not compared, as it may
 *   be forwarded.
 * - Requests that other sites make show in `Sec-Fetch-Site`, and in `Origin`. A link that somebody follows is let through:
 *   the page itself says nothing.
 *
 * @returns undefined for a request that may be answered
 */
export function whyRefused({ headers }: Pick<IncomingMessage, 'headers'>): string | undefined {
  const { host = '', origin } = headers
  if (!OWN_HOSTS.has(host.toLowerCase().replace(PORT, ''))) {
    return 'this page is served to 127.0.0.1, [::1] and localhost only'
  }
  if (origin !== undefined && origin.toLowerCase() !== `http://${host.toLowerCase()}`) {
    return 'this request is of another site'
  }
  const site = headers['sec-fetch-site']
  const isNavigation =
    headers['sec-fetch-mode'] === 'navigate' && headers['sec-fetch-dest'] === 'document'
  if (site === undefined || site === 'same-origin' || isNavigation) return undefined
  // Typed, or a bookmark.
  return site === 'none' ? undefined : 'this request is of another site'
}
