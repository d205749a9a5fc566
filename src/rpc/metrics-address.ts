import { isAbsolute } from 'node:path'
import { formatPeerAddress, parsePeerAddress, type PeerAddress } from '../p2p/peer-address.ts'

/** Environment variable that says where a daemon serves its metrics. */
export const METRICS_VARIABLE = 'DAT_CONTAINER_METRICS'

const LOOPBACK = '127.0.0.1'

/** A TCP address, or the path of a unix socket. */
export type MetricsAddress = PeerAddress | { readonly path: string }

/**
 * Reads `[host:]port`, of loopback where no host is given, or the absolute path of a unix socket.
 *
 * @returns undefined for no text
 * @throws ContainerError `USAGE`
 */
export function parseMetricsAddress(text: string | undefined): MetricsAddress | undefined {
  if (!text) return undefined
  if (isAbsolute(text)) return { path: text }
  return parsePeerAddress(/^\d+$/.test(text) ? `${LOOPBACK}:${text}` : text)
}

/** The inverse of {@link parseMetricsAddress}. */
export function formatMetricsAddress(address: MetricsAddress): string {
  return 'path' in address ? address.path : formatPeerAddress(address)
}
