import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import NoiseSecretStream from '@hyperswarm/secret-stream'
import type { KeyPair } from 'hyperdht'
import type { SwarmConnection } from 'hyperswarm'
import { ContainerError } from '../image/errors.ts'
import { formatPeerAddress, type PeerAddress } from './peer-address.ts'

/** A peer that does not shake hands in this time is none. */
const HANDSHAKE_MS = 5_000
/** Of peers that came by themselves; each costs some kilobytes. */
const MAX_ACCEPTED = 256
const KEEP_ALIVE_MS = 5_000
/** A peer of which nothing is heard for so long is gone. */
const SILENCE_MS = 20_000

/**
 * Connections with peers whose address is known: TCP, and on it the Noise handshake and encryption that
 * the swarm uses. They need no DHT, and take two round trips less than finding somebody by it.
 */
export class DirectPeers implements AsyncDisposable {
  readonly #keyPair: KeyPair
  readonly #onConnection: (connection: SwarmConnection) => void
  /** By address: connecting, or connected. */
  readonly #dialed = new Map<string, Promise<boolean>>()
  readonly #streams = new Set<SwarmConnection>()
  readonly #servers: Server[] = []
  #accepted = 0
  #isClosed = false

  /** @param onConnection gets each connection when both sides know of each other */
  constructor(keyPair: KeyPair, onConnection: (connection: SwarmConnection) => void) {
    this.#keyPair = keyPair
    this.#onConnection = onConnection
  }

  get connections(): ReadonlySet<SwarmConnection> {
    return this.#streams
  }

  /**
   * Waits for peers at an address of this machine.
   *
   * @param address with host `0.0.0.0` or `::` for all of this machine's, with port 0 for a free one
   * @returns the port
   * @throws ContainerError `IO` when it cannot be listened at
   */
  async listen(address: PeerAddress): Promise<number> {
    const server = createServer((socket) => {
      if (this.#accepted >= MAX_ACCEPTED) {
        socket.destroy()
        return
      }
      this.#accepted++
      socket.once('close', () => this.#accepted--)
      void this.#shakeHands(socket, false)
    })
    try {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject)
        server.listen(address.port, address.host, resolve)
      })
    } catch (cause) {
      const where = formatPeerAddress(address)
      throw new ContainerError('IO', `cannot listen for peers at ${where}`, {
        hint: 'check that the address is this machine’s and that nothing else has the port',
        cause
      })
    }
    this.#servers.push(server)
    return (server.address() as AddressInfo).port
  }

  /**
   * Connects to a peer, unless there is a connection already.
   *
   * @returns whether there is one now; false says nothing of why not
   */
  dial(address: PeerAddress): Promise<boolean> {
    const id = formatPeerAddress(address)
    const known = this.#dialed.get(id)
    if (known) return known
    const socket = connect({ host: address.host, port: address.port, noDelay: true })
    const dialing = this.#shakeHands(socket, true)
    this.#dialed.set(id, dialing)
    socket.once('close', () => this.#dialed.delete(id))
    return dialing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    for (const stream of this.#streams) stream.destroy()
    for (const server of this.#servers) {
      await new Promise<void>((resolve) => server.close(() => resolve()))
    }
    await Promise.allSettled(this.#dialed.values())
  }

  async #shakeHands(socket: Socket, isInitiator: boolean): Promise<boolean> {
    socket.setNoDelay(true)
    const stream = new NoiseSecretStream(isInitiator, socket, { keyPair: this.#keyPair })
    this.#streams.add(stream)
    stream.once('close', () => this.#streams.delete(stream))
    stream.on('error', () => {})
    const timer = setTimeout(() => stream.destroy(), HANDSHAKE_MS)
    try {
      const isOpen = await Promise.race([
        stream.opened,
        new Promise<boolean>((resolve) => stream.once('close', () => resolve(false)))
      ])
      if (!isOpen || this.#isClosed) {
        stream.destroy()
        return false
      }
      stream.setKeepAlive(KEEP_ALIVE_MS)
      stream.setTimeout(SILENCE_MS)
      this.#onConnection(stream)
      return true
    } finally {
      clearTimeout(timer)
    }
  }
}
