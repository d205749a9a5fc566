import Corestore from 'corestore'
import DHT, { type KeyPair } from 'hyperdht'
import HypercoreStorage from 'hypercore-storage'
import Hyperswarm, { type PeerDiscovery, type SwarmConnection } from 'hyperswarm'
import { ContainerError } from '../image/errors.ts'
import { DirectPeers } from './direct-peers.ts'
import { lookUpPathsAtOnce } from './missing-nodes.ts'
import type { PeerAddress } from './peer-address.ts'
import { Replications, type ConnectionKind } from './replications.ts'
import { fullDisk } from './store-error.ts'
import { pause } from './waiting.ts'

/** There are two for what is written, and blocks go to files of their own: a quarter of the usual is as fast. */
const WRITE_BUFFER_BYTES = 16 * 1024 * 1024
const UNANNOUNCE_WAIT_MS = 1_000

export interface PeerNodeOptions {
  /** Directory of the corestore; created when absent. */
  readonly storage: string
  /** `host:port` of a private DHT's bootstrap nodes; undefined for the public DHT. */
  readonly bootstrap: readonly string[] | undefined
  /** Where peers may connect without the DHT; nowhere where it is left out. */
  readonly listen?: PeerAddress | undefined
  /** Called for errors of single connections, which are normal and end nothing. */
  readonly onConnectionError?: (error: Error) => void
}

export interface SwarmTraffic {
  readonly connections: number
  readonly bytesRead: number
  readonly bytesWritten: number
}

/**
 * One machine's corestore and its place in the swarm. Everything that is in the store is replicated
 * to any peer that proves to know its key.
 */
export class PeerNode implements AsyncDisposable {
  readonly store: Corestore
  /** Directory of the store. */
  readonly storage: string
  readonly #swarm: Hyperswarm
  readonly #direct: DirectPeers
  readonly #replications: Replications
  #guestPort: Promise<number> | undefined
  readonly #onError: (error: Error) => void
  readonly #closedTraffic = { bytesRead: 0, bytesWritten: 0 }

  private constructor(
    store: Corestore,
    swarm: Hyperswarm,
    keyPair: KeyPair,
    options: PeerNodeOptions
  ) {
    this.store = store
    this.storage = options.storage
    this.#swarm = swarm
    this.#onError = (error) => options.onConnectionError?.(error)
    this.#replications = new Replications(store, this.#onError)
    // Each drive that looks for its first peer listens.
    swarm.setMaxListeners(0)
    swarm.on('connection', (connection: SwarmConnection) => {
      this.#add(connection, 'swarm')
    })
    this.#direct = new DirectPeers(keyPair, (connection) => this.#add(connection, 'direct'))
  }

  /**
   * Opens the store and joins the DHT; returns before the DHT has answered.
   *
   * @throws ContainerError `BUSY` when another process has the store open, `DISK_FULL`, `IO` when it cannot listen
   */
  static async open(options: PeerNodeOptions): Promise<PeerNode> {
    lookUpPathsAtOnce()
    const storage = new HypercoreStorage(options.storage, {
      // A store that was copied or moved with its home is as good as before: every block is verified.
      allowBackup: true,
      wait: false,
      writeBufferSize: WRITE_BUFFER_BYTES
    })
    const store = new Corestore(storage)
    try {
      await store.ready()
    } catch (cause) {
      const full = /no space left/i.test(text(cause)) && fullDisk(options.storage, cause)
      if (full) throw full
      throw new ContainerError('BUSY', `cannot open the store ${options.storage}: ${text(cause)}`, {
        hint: 'another process may have it open; stop it, or use another --home',
        cause
      })
    }
    const { bootstrap } = options
    // On a private network nobody is behind a NAT and every peer can answer for the DHT. Left to
    // guess, peers on a flat network go
    // half-open; hyperswarm does not forward `firewalled`, so the DHT is made here.
    const dht = bootstrap ? new DHT({ bootstrap, firewalled: false, ephemeral: false }) : new DHT()
    const keyPair: KeyPair = DHT.keyPair()
    const node = new PeerNode(store, new Hyperswarm({ dht, keyPair }), keyPair, options)
    try {
      if (options.listen) await node.#direct.listen(options.listen)
    } catch (error) {
      await node[Symbol.asyncDispose]()
      throw error
    }
    return node
  }

  /**
   * Connects to a peer by its address, unless there is a connection already.
   *
   * @returns whether there is one now
   */
  dial(peer: PeerAddress): Promise<boolean> {
    return this.#direct.dial(peer)
  }

  /**
   * Lets virtual machines on this machine connect, whose networks lead to its loopback.
   *
   * @returns the port at 127.0.0.1; the same one each time
   */
  listenForGuests(): Promise<number> {
    this.#guestPort ??= this.#direct.listen({ host: '127.0.0.1', port: 0 })
    return this.#guestPort
  }

  /** Announces (`server`) and looks up (`client`) a topic until the discovery is destroyed. */
  join(topic: Buffer, roles: { server: boolean; client: boolean }): PeerDiscovery {
    return this.#swarm.join(topic, roles)
  }

  /** Calls `found` once, as soon as somebody is known who has the topic and is being connected to. */
  oncePeerFound(topic: Buffer, found: () => void): () => void {
    const swarm = this.#swarm
    const look = (): void => {
      const isFound = [...swarm.peers.values()].some(({ topics }) =>
        topics.some((other) => topic.equals(other))
      )
      if (!isFound) return
      swarm.off('update', look)
      found()
    }
    swarm.on('update', look)
    return () => void swarm.off('update', look)
  }

  /** Whether any other node of the DHT has answered. */
  get isOnline(): boolean {
    return this.#swarm.dht.nodes.length > 0
  }

  /** Resolves once all nodes that this one starts with were asked, and none has answered; else never. */
  async offline(): Promise<void> {
    await this.#swarm.dht.fullyBootstrapped()
    if (this.isOnline) await new Promise(() => {})
  }

  leave(topic: Buffer): Promise<void> {
    return this.#swarm.leave(topic)
  }

  /** Bytes on the wire over all connections, open and closed. */
  traffic(): SwarmTraffic {
    let { bytesRead, bytesWritten } = this.#closedTraffic
    const open = [...this.#swarm.connections, ...this.#direct.connections]
    for (const connection of open) {
      bytesRead += connection.rawBytesRead
      bytesWritten += connection.rawBytesWritten
    }
    return { connections: open.length, bytesRead, bytesWritten }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Taking announcements back waits for DHT nodes that may be gone; they expire by themselves.
    await Promise.race([this.#swarm.destroy().catch(() => {}), pause(UNANNOUNCE_WAIT_MS)])
    await this.#direct[Symbol.asyncDispose]()
    await this.#swarm.dht.destroy({ force: true })
    await this.store.close()
  }

  #add(connection: SwarmConnection, kind: ConnectionKind): void {
    connection.on('error', this.#onError)
    connection.on('close', () => {
      this.#closedTraffic.bytesRead += connection.rawBytesRead
      this.#closedTraffic.bytesWritten += connection.rawBytesWritten
    })
    this.#replications.add(connection, kind)
  }
}

function text(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
