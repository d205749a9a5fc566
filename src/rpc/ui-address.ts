import { ContainerError } from '../core/errors.ts'
import { formatPeerAddress, readPeerAddress } from '../p2p/peer-address.ts'

/** Environment variable that says where a daemon serves its page. */
export const UI_VARIABLE = 'DAT_CONTAINER_UI'
/** Serves the page at a free port. */
export const ANY_PORT = 'any'
const NONE = 'none'

const IPV4_LOOPBACK = '127.0.0.1'
const IPV6_LOOPBACK = '::1'
const HOSTS: ReadonlyMap<string, UiAddress['host']> = new Map([
  [IPV4_LOOPBACK, IPV4_LOOPBACK],
  [IPV6_LOOPBACK, IPV6_LOOPBACK],
  ['localhost', IPV4_LOOPBACK]
])

/** Where a daemon serves its page. Port 0 stands for a free one. */
export interface UiAddress {
  readonly host: typeof IPV4_LOOPBACK | typeof IPV6_LOOPBACK
  readonly port: number
}

/**
 * Reads `[host:]port`, `any` for a free port, or `none`. Only addresses of loopback are taken.
 *
 * @returns undefined for no text and for `none`
 * @throws ContainerError `USAGE`
 */
export function parseUiAddress(text: string | undefined): UiAddress | undefined {
  if (!text || text === NONE) return undefined
  if (text === ANY_PORT) return { host: IPV4_LOOPBACK, port: 0 }
  const given = readPeerAddress(/^\d+$/.test(text) ? `${IPV4_LOOPBACK}:${text}` : text)
  const host = given && HOSTS.get(given.host.toLowerCase())
  if (given !== undefined && host !== undefined) return { host, port: given.port }
  throw new ContainerError('USAGE', `the page cannot be served at ${JSON.stringify(text)}`, {
    hint: 'it is for this machine alone: give a port, 127.0.0.1:port, [::1]:port, any or none; from elsewhere, forward the port with ssh -L'
  })
}

/** The inverse of {@link parseUiAddress}. */
export function formatUiAddress({ host, port }: UiAddress): string {
  return port === 0 ? ANY_PORT : formatPeerAddress({ host, port })
}
