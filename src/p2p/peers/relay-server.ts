import { Server as BlindRelay, type RelayStream } from 'blind-relay'
import DHT, { type KeyPair } from 'hyperdht'
import type { SwarmConnection } from 'hyperswarm'
import { ContainerError } from '../../core/errors.ts'
import { limitFrames } from './frame-limit.ts'

const LOOK_MS = 1_000
/** A client that has paired nothing for this time goes. */
const IDLE_MS = 60_000
/** A pair may be faster than its rate for so many seconds' worth of bytes. */
const RESERVE_SECONDS = 60
/** What clients say to the relay itself, which remembers each pair that they ask for: some hundreds at first, then a few. */
const MOST_FRAME_BYTES = 4_096
const TALK_BYTES = 32 * 1024
const TALK_BYTES_A_SECOND = 64

export interface RelayLimits {
  /** Clients at once. Two for each pair that it connects. */
  readonly clients: number
  /** Clients at once that come from one address. */
  readonly clientsAnAddress: number
  /** Bytes that each end of a pair may send through it. */
  readonly bytesAPair: number
  /** Bytes in a second that each end of a pair may send for long. One that sends more for a minute is disconnected. */
  readonly bytesASecond: number
}

export interface RelayOptions {
  readonly keyPair: KeyPair
  readonly bootstrap: readonly string[] | undefined
  /** UDP port; 0 for any. */
  readonly port: number
  readonly limits: RelayLimits
}

export interface RelayTraffic {
  readonly clients: number
  readonly pairs: number
  readonly bytes: number
}

interface Client {
  readonly connection: SwarmConnection
  readonly address: string
  /** Its end of each pair. */
  readonly streams: Map<RelayStream, { readonly pair: string; bytes: number; allBytes: number }>
  idleSinceMs: number
}

/**
 * Connects peers that cannot reach each other, by passing their packets on. Both ends encrypt for each other, so it sees who
 * talks to whom and how much, and nothing of what. It serves whoever knows its public key, within limits.
 */
export class RelayServer implements AsyncDisposable {
  readonly #dht: DHT
  readonly #limits: RelayLimits
  readonly #relay: BlindRelay
  readonly #clients = new Set<Client>()
  readonly #timer: NodeJS.Timeout
  #lookedMs = performance.now()
  #bytes = 0

  private constructor(dht: DHT, limits: RelayLimits) {
    this.#dht = dht
    this.#limits = limits
    this.#relay = new BlindRelay({
      createStream: (options) => dht.createRawStream({ ...options, framed: true })
    })
    this.#timer = setInterval(() => this.#look(), LOOK_MS).unref()
  }

  /**
   * Listens until it is disposed of. Others must reach this machine at its address: a relay behind a NAT is of no use.
   *
   * @throws ContainerError `IO`
   */
  static async open({ keyPair, bootstrap, port, limits }: RelayOptions): Promise<RelayServer> {
    const dht = new DHT({
      ...(port !== 0 && { port }),
      ...(bootstrap && { bootstrap }),
      firewalled: false
    })
    const server = new RelayServer(dht, limits)
    try {
      await dht
        .createServer({ shareLocalAddress: true }, (connection) => server.#accept(connection))
        .listen(keyPair)
    } catch (cause) {
      await server[Symbol.asyncDispose]()
      throw new ContainerError('IO', `cannot run a relay on UDP port ${port}`, {
        hint: 'check that the port is free and that nodes of the DHT answer',
        cause
      })
    }
    return server
  }

  /** UDP port. */
  get port(): number {
    return this.#dht.localAddress()?.port ?? 0
  }

  get traffic(): RelayTraffic {
    this.#look()
    const pairs = [...this.#clients].reduce((sum, { streams }) => sum + streams.size, 0) / 2
    return { clients: this.#clients.size, pairs, bytes: this.#bytes }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer)
    for (const { connection } of this.#clients) connection.destroy()
    await this.#dht.destroy({ force: true })
  }

  #accept(connection: SwarmConnection): void {
    connection.on('error', () => {})
    const address = connection.rawStream.remoteHost ?? ''
    const neighbours = [...this.#clients].filter((other) => other.address === address).length
    const { clients, clientsAnAddress } = this.#limits
    if (this.#clients.size >= clients || neighbours >= clientsAnAddress) {
      connection.destroy()
      return
    }
    const sinceMs = performance.now()
    const client: Client = { connection, address, streams: new Map(), idleSinceMs: sinceMs }
    this.#clients.add(client)
    connection.once('close', () => this.#clients.delete(client))
    limitFrames(connection, {
      allows: (frameBytes, receivedBytes) => {
        const seconds = (performance.now() - sinceMs) / 1_000
        return (
          frameBytes <= MOST_FRAME_BYTES &&
          receivedBytes <= TALK_BYTES + TALK_BYTES_A_SECOND * seconds
        )
      }
    })
    const session = this.#relay.accept(connection, { id: connection.remotePublicKey })
    session.on('error', () => {})
    session.on('pair', (_isInitiator: boolean, token: Buffer, stream: RelayStream) => {
      client.streams.set(stream, { pair: token.toString('hex'), bytes: 0, allBytes: 0 })
      stream.once('close', () => {
        this.#count(client, stream)
        client.streams.delete(stream)
      })
    })
  }

  /** Ends both sides of a pair. */
  #end(pair: string): void {
    for (const { streams } of this.#clients) {
      for (const [stream, counted] of streams) if (counted.pair === pair) stream.destroy()
    }
  }

  /** @returns bytes that have come since the last time */
  #count({ streams }: Client, stream: RelayStream): number {
    const counted = streams.get(stream)
    if (counted === undefined) return 0
    const came = stream.bytesReceived - counted.allBytes
    counted.allBytes += came
    this.#bytes += came
    return came
  }

  /** Ends what has used up its share. */
  #look(): void {
    const now = performance.now()
    const seconds = (now - this.#lookedMs) / 1_000
    this.#lookedMs = now
    for (const client of this.#clients) {
      if (client.streams.size > 0) client.idleSinceMs = now
      if (now - client.idleSinceMs > IDLE_MS) client.connection.destroy()
      for (const [stream, counted] of client.streams) {
        const came = this.#count(client, stream)
        const { allBytes } = counted
        // What it may send for long, with a minute in reserve.
        const { bytesASecond, bytesAPair } = this.#limits
        counted.bytes = Math.max(0, counted.bytes + came - bytesASecond * seconds)
        const isTooMuch = counted.bytes > bytesASecond * RESERVE_SECONDS || allBytes > bytesAPair
        if (isTooMuch) this.#end(counted.pair)
      }
    }
  }
}
