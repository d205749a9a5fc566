import { isIPv4, isIPv6 } from 'node:net'
import { ContainerError } from '../core/errors.ts'

/** Where a daemon listens without the DHT. */
export interface PeerAddress {
  /** A name or an IP address, IPv6 ones without brackets. */
  readonly host: string
  readonly port: number
}

const NAME = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/i

/**
 * Reads `host:port` or `[IPv6]:port`.
 *
 * @returns undefined for anything else
 */
export function readPeerAddress(text: string): PeerAddress | undefined {
  const at = text.lastIndexOf(':')
  const port = text.slice(at + 1)
  const bracketed = /^\[(.*)\]$/.exec(text.slice(0, at))
  const host = bracketed?.[1] ?? text.slice(0, Math.max(at, 0))
  const isHost = bracketed ? isIPv6(host) : isIPv4(host) || NAME.test(host)
  if (!isHost || !/^\d{1,5}$/.test(port) || Number(port) < 1 || Number(port) > 65_535) {
    return undefined
  }
  return { host, port: Number(port) }
}

/**
 * {@link readPeerAddress} of what a user gave.
 *
 * @throws ContainerError `USAGE`
 */
export function parsePeerAddress(text: string): PeerAddress {
  const address = readPeerAddress(text)
  if (address) return address
  throw new ContainerError('USAGE', `not an address: ${JSON.stringify(text)}`, {
    hint: 'give host:port, or [host]:port of an IPv6 address'
  })
}

/** `host:port`, with brackets where the host is an IPv6 address. */
export function formatPeerAddress({ host, port }: PeerAddress): string {
  return isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`
}
