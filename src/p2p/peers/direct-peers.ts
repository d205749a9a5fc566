import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import NoiseSecretStream from '@hyperswarm/secret-stream'
import type { KeyPair } from 'hyperdht'
import type { SwarmConnection } from 'hyperswarm'
import { ContainerError } from '../../core/errors.ts'
import { limitFrames } from './frame-limit.ts'
import { formatPeerAddress, type PeerAddress } from '../peer-address.ts'
import { ConnectionSlots, STRANGER_LIMITS } from './connection-slots.ts'
import { PeerGate } from './peer-gate.ts'
import { refuse } from '../reach/refusals.ts'

/** A peer that does not shake hands in this time is none. */
const HANDSHAKE_MS = 5_000
/** A handshake's messages have a hundred bytes each. */
const MOST_HANDSHAKE_BYTES = 4_096
/** A peer that is refused names its logs before it reads so: the frame of some seven hundred fits. */
const MOST_REFUSED_BYTES = 64 * 1024
/** Length of the message that opens a handshake in which the initiator knows the other's key (Noise's IK). */
const KNOWN_KEY_BYTES = 96
const KEEP_ALIVE_MS = 5_000
/** A peer of which nothing is heard for so long is gone. */
const SILENCE_MS = 20_000

/** The most peers that came by themselves; each costs some kilobytes. */
const MOST_ACCEPTED = 256

export interface DirectPeersOptions {
  readonly keyPair: KeyPair
  /** Gets each connection when both sides know of each other. */
  readonly onConnection: (connection: SwarmConnection) => void
  /** Whether a peer has shown nothing that tells it from anybody. @default all are strangers */
  readonly isStranger?: (connection: SwarmConnection) => boolean
  /** Whom it connects with. @default everybody */
  readonly gate?: PeerGate
}

interface HandshakeOptions {
  readonly pattern?: 'IK' | 'XX'
  readonly remotePublicKey?: Buffer
  /** Not only for those that the gate allows. */
  readonly forAll?: boolean
}

/**
 * Connections with peers whose address is known: TCP, and on it the Noise handshake and encryption that
 * the swarm uses. They need no DHT, and take two round trips less than finding somebody by it.
 */
export class DirectPeers implements AsyncDisposable {
  readonly #keyPair: KeyPair
  readonly #onConnection: (connection: SwarmConnection) => void
  /** By address: connecting, or connected. */
  readonly #dialed = new Map<string, Promise<SwarmConnection | undefined>>()
  readonly #dialing = new Set<Promise<unknown>>()
  readonly #sockets = new Set<Socket>()
  /** Those that are shaking hands too. */
  readonly #streams = new Set<SwarmConnection>()
  readonly #opened = new Set<SwarmConnection>()
  readonly #servers: Server[] = []
  readonly #slots: ConnectionSlots
  readonly #isStranger: (connection: SwarmConnection) => boolean
  readonly #gate: PeerGate
  #isClosed = false

  constructor(options: DirectPeersOptions) {
    const { keyPair, onConnection, isStranger = () => true, gate } = options
    this.#keyPair = keyPair
    this.#onConnection = onConnection
    this.#isStranger = isStranger
    this.#gate = gate ?? new PeerGate(undefined)
    this.#slots = new ConnectionSlots({ ...STRANGER_LIMITS, most: MOST_ACCEPTED })
  }

  get connections(): ReadonlySet<SwarmConnection> {
    return this.#opened
  }

  /** Whether there is a connection with that peer, or one is being made. */
  has(publicKey: Buffer): boolean {
    return [...this.#streams].some((stream) => stream.remotePublicKey?.equals(publicKey))
  }

  /**
   * Waits for peers at an address of this machine.
   *
   * @param address with host `0.0.0.0` or `::` for all of this machine's, with port 0 for a free one
   * @param options.known answers only peers that know this machine's key, as the swarm does. Others learn only
   *   that something listens @default false
   * @param options.forAll also answers peers that the gate does not allow @default false
   * @returns the port
   * @throws ContainerError `IO` when it cannot be listened at
   */
  async listen(address: PeerAddress, { known = false, forAll = false } = {}): Promise<number> {
    const server = createServer((socket) => void this.#accept(socket, { known, forAll }))
    try {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject)
        server.listen(address.port, address.host, resolve)
      })
    } catch (cause) {
      const where = formatPeerAddress(address)
      throw new ContainerError('IO', `cannot listen for peers at ${where}`, {
        hint: 'check that the address belongs to this machine and that the port is free',
        cause
      })
    }
    this.#servers.push(server)
    return (server.address() as AddressInfo).port
  }

  /**
   * Connects to a peer, unless there is a connection already.
   *
   * @returns undefined where there is none, and says nothing of why not
   */
  dial(address: PeerAddress): Promise<SwarmConnection | undefined> {
    const id = formatPeerAddress(address)
    const known = this.#dialed.get(id)
    if (known) return known
    const socket = connect({ host: address.host, port: address.port, noDelay: true })
    const dialing = this.#shakeHands(socket, true)
    this.#dialed.set(id, dialing)
    socket.once('close', () => this.#dialed.delete(id))
    return dialing
  }

  /**
   * Connects to a peer whose key is known, and to nobody else.
   *
   * @returns undefined where that is not so, and says nothing of why not
   */
  async dialKnown(
    address: PeerAddress,
    remotePublicKey: Buffer
  ): Promise<SwarmConnection | undefined> {
    if (this.#isClosed || !this.#gate.allows(remotePublicKey)) return undefined
    const socket = connect({ host: address.host, port: address.port, noDelay: true })
    const dialing = this.#shakeHands(socket, true, { pattern: 'IK', remotePublicKey })
    this.#dialing.add(dialing)
    try {
      return await dialing
    } finally {
      this.#dialing.delete(dialing)
    }
  }

  /** Whether something listens at an address. Nothing is sent. */
  async reaches({ host, port }: PeerAddress): Promise<boolean> {
    if (this.#isClosed) return false
    const socket = connect({ host, port, timeout: HANDSHAKE_MS })
    this.#sockets.add(socket)
    return new Promise((resolve) => {
      const end = (isThere: boolean): void => {
        resolve(isThere)
        socket.destroy()
      }
      socket.once('connect', () => end(true))
      socket.once('timeout', () => end(false))
      socket.on('error', () => end(false))
      socket.once('close', () => {
        this.#sockets.delete(socket)
        end(false)
      })
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    this.#slots[Symbol.dispose]()
    for (const stream of this.#streams) stream.destroy()
    for (const socket of this.#sockets) socket.destroy()
    for (const server of this.#servers) {
      await new Promise<void>((resolve) => server.close(() => resolve()))
    }
    await Promise.allSettled([...this.#dialed.values(), ...this.#dialing])
  }

  async #accept(
    socket: Socket,
    { known, forAll }: { known: boolean; forAll: boolean }
  ): Promise<void> {
    socket.on('error', () => {})
    let stream: SwarmConnection | undefined
    const leave = this.#slots.take({
      address: socket.remoteAddress ?? '',
      isStranger: () => stream === undefined || this.#isStranger(stream),
      traffic: () => socket.bytesRead + socket.bytesWritten,
      sendAway: () => (stream ?? socket).destroy()
    })
    if (leave === undefined || this.#isClosed) {
      leave?.()
      socket.destroy()
      return
    }
    this.#sockets.add(socket)
    socket.once('close', () => {
      leave()
      this.#sockets.delete(socket)
    })
    // This limits all that it takes until both know each other.
    const timer = setTimeout(() => socket.destroy(), HANDSHAKE_MS)
    const length = (await firstFrameLength(socket)) ?? Infinity
    const pattern = length === KNOWN_KEY_BYTES ? 'IK' : 'XX'
    const mayBePeer = length <= MOST_HANDSHAKE_BYTES && (!known || pattern === 'IK')
    if (mayBePeer) stream = await this.#shakeHands(socket, false, { pattern, forAll })
    else socket.destroy()
    clearTimeout(timer)
  }

  async #shakeHands(
    socket: Socket,
    isInitiator: boolean,
    { forAll = false, ...how }: HandshakeOptions = {}
  ): Promise<SwarmConnection | undefined> {
    socket.setNoDelay(true)
    const stream = new NoiseSecretStream(isInitiator, socket, { keyPair: this.#keyPair, ...how })
    limitFrames(stream, { allows: (bytes) => bytes <= MOST_HANDSHAKE_BYTES })
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
        return undefined
      }
      if (!forAll && !this.#gate.allows(stream.remotePublicKey)) {
        limitFrames(stream, { allows: (bytes) => bytes <= MOST_REFUSED_BYTES })
        // One that is dropped for a while is told nothing.
        if (isInitiator || this.#gate.lists(stream.remotePublicKey)) stream.destroy()
        else refuse(stream)
        return undefined
      }
      limitFrames(stream, undefined)
      stream.setKeepAlive(KEEP_ALIVE_MS)
      stream.setTimeout(SILENCE_MS)
      this.#opened.add(stream)
      stream.once('close', () => this.#opened.delete(stream))
      this.#onConnection(stream)
      return stream
    } finally {
      clearTimeout(timer)
    }
  }
}

/**
 * How long the first message of a handshake says it is; it is left to be read.
 *
 * @returns undefined when the socket closes before
 */
function firstFrameLength(socket: Socket): Promise<number | undefined> {
  return new Promise((resolve) => {
    const end = (length: number | undefined): void => {
      socket.off('readable', look)
      socket.off('close', close)
      resolve(length)
    }
    const close = (): void => end(undefined)
    const look = (): void => {
      const head = socket.read(3) as Buffer | null
      if (head === null) return
      if (head.length < 3) return void socket.destroy()
      socket.unshift(head)
      end(head.readUIntLE(0, 3))
    }
    socket.on('readable', look)
    socket.once('close', close)
  })
}
