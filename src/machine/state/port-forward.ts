import { isIPv4 } from 'node:net'
import { ContainerError } from '../../core/errors.ts'

/** A port of this machine that leads to one of the guest. */
export interface PortForward {
  readonly protocol: 'tcp' | 'udp'
  /** IPv4 address of this machine. */
  readonly address: string
  readonly hostPort: number
  readonly guestPort: number
}

/** The default address: only this machine can connect. */
export const LOOPBACK = '127.0.0.1'
export const SSH_GUEST_PORT = 22

/**
 * Reads `[ip:]host:guest[/tcp|/udp]`, as `8080:80` or `0.0.0.0:53:53/udp`.
 *
 * @throws ContainerError `USAGE`
 */
export function parseForward(text: string): PortForward {
  const match = /^(?:([^:/]+):)?(\d{1,5}):(\d{1,5})(?:\/(tcp|udp))?$/.exec(text)
  const [, address = LOOPBACK, hostPort = '', guestPort = '', protocol = 'tcp'] = match ?? []
  const ports = [Number(hostPort), Number(guestPort)]
  if (match === null || !isIPv4(address) || ports.some((port) => port < 1 || port > 65_535)) {
    throw new ContainerError('USAGE', `not a forwarded port: ${JSON.stringify(text)}`, {
      hint: 'give [IPV4:]HOST:GUEST or [IPV4:]HOST:GUEST/udp, as 8080:80'
    })
  }
  return {
    protocol: protocol === 'udp' ? 'udp' : 'tcp',
    address,
    hostPort: Number(hostPort),
    guestPort: Number(guestPort)
  }
}

/** Formats a forwarded port as {@link parseForward} reads it. */
export function formatForward({ protocol, address, hostPort, guestPort }: PortForward): string {
  return `${address}:${hostPort}:${guestPort}${protocol === 'udp' ? '/udp' : ''}`
}
