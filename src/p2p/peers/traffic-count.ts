import type { SwarmConnection } from 'hyperswarm'
import type { ConnectionKind } from './replications.ts'

export interface SwarmTraffic {
  /** Peers that are connected, however many connections each has. */
  readonly connections: number
  /** Those of them that are by TCP. */
  readonly direct: number
  readonly bytesRead: number
  readonly bytesWritten: number
  /** The part of `bytesRead` that came by TCP. */
  readonly directBytesRead: number
}

/** Counts what connections have carried, also those that are closed. */
export class TrafficCount {
  readonly #closed = { bytesRead: 0, bytesWritten: 0, directBytesRead: 0 }

  /** A connection has closed. */
  noteClosed(connection: SwarmConnection, kind: ConnectionKind): void {
    count(connection, this.#closed)
    if (kind === 'direct') this.#closed.directBytesRead += connection.rawBytesRead
  }

  /** All so far. @param swarm, direct open connections of the swarm, and by TCP */
  with(swarm: Iterable<SwarmConnection>, direct: Iterable<SwarmConnection>): SwarmTraffic {
    const bytes = { ...this.#closed }
    const byTcp = [...direct]
    const open = [...swarm, ...byTcp]
    for (const connection of open) count(connection, bytes)
    for (const { rawBytesRead } of byTcp) bytes.directBytesRead += rawBytesRead
    return { connections: peersOf(open), direct: peersOf(byTcp), ...bytes }
  }
}

function count(
  { rawBytesRead, rawBytesWritten }: SwarmConnection,
  into: { bytesRead: number; bytesWritten: number }
): void {
  into.bytesRead += rawBytesRead
  into.bytesWritten += rawBytesWritten
}

function peersOf(connections: readonly SwarmConnection[]): number {
  return new Set(connections.map(({ remotePublicKey }) => remotePublicKey.toString('hex'))).size
}
