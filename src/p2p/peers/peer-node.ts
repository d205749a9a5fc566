import { existsSync } from 'node:fs'
import { join } from 'node:path'
import Corestore from 'corestore'
import DHT, { type KeyPair } from 'hyperdht'
import HypercoreStorage from 'hypercore-storage'
import Hyperswarm, { type PeerDiscovery, type PeerInfo, type SwarmConnection } from 'hyperswarm'
import { DialFailures } from '../reach/dial-failures.ts'
import { BlindPeers } from './blind-peers.ts'
import { DirectPeers } from './direct-peers.ts'
import { takesDirectWrites } from '../store/direct-writes.ts'
import { keepForkedLogs } from '../store/forks.ts'
import { LanDiscovery } from '../lan/lan-discovery.ts'
import { keyPairOf, readIdentity, writeIdentity, type Identity } from './identity.ts'
import { Invitations } from './invitations.ts'
import { KnownPeers, type KnownPeer } from './known-peers.ts'
import { lookUpMerklePaths } from '../store/merkle-path-lookup.ts'
import { formatPeerAddress, type PeerAddress } from '../peer-address.ts'
import { isOpen, natStatusOf, relayFor, type NatStatus } from '../reach/nat-status.ts'
import { PeerAddresses } from './peer-addresses.ts'
import { PeerGate, type AllowedPeers, type DroppedPeer, type Misconduct } from './peer-gate.ts'
import { Refusals } from '../reach/refusals.ts'
import type { Unreached } from '../reach/unreached.ts'
import { Probes } from './probes.ts'
import { limitAnswers } from '../rate/limited-answers.ts'
import { RateLimits } from '../rate/rate-limits.ts'
import { Replications, type ConnectionKind } from './replications.ts'
import { fullDisk, openError } from '../store-error.ts'
import { StoreHealth } from '../store/store-health.ts'
import { StoreSpace } from '../store/store-space.ts'
import { DATABASE, StoreSync } from '../store/store-sync.ts'
import { Strangers } from './strangers.ts'
import { SwarmSlots } from './swarm-slots.ts'
import { TrafficCount, type SwarmTraffic } from './traffic-count.ts'
import { tolerateUnsoundStores } from '../store/unsound-store.ts'
import { pause } from '../../core/abort.ts'

/** There are two for what is written, and blocks go to files of their own: a quarter of the usual is as fast. */
const WRITE_BUFFER_BYTES = 16 * 1024 * 1024
/**
 * The part of its block files, the oldest, that RocksDB writes anew whenever it puts keys in order, in case some of them
 * are gone. Here all are there until somebody frees some, and then the store is compacted (`purge.ts`).
 */
const REWRITTEN_PART = 0
/** Space of blocks that are gone is freed file by file: small files need little room for that. */
const BLOCK_FILE_BYTES = 32 * 1024 * 1024
/** A peer of the swarm of which nothing is heard for so long is gone: both sides send something every five seconds. */
const SILENCE_MS = 15_000
const UNANNOUNCE_WAIT_MS = 1_000

export interface PeerNodeOptions {
  /** Directory of the corestore; created when absent. */
  readonly storage: string
  /** File of what peers know this machine by, made when absent. @default others each time */
  readonly identity?: string
  /** Directory where it is kept at which addresses an image's peers were reached. @default nowhere */
  readonly knownPeers?: string
  /** `host:port` of a private DHT's bootstrap nodes; undefined for the public DHT. */
  readonly bootstrap: readonly string[] | undefined
  /**
   * Where peers may connect by TCP: without the DHT at an address; `known` for those alone that the swarm has
   * connected, at some port of all addresses, if that can be had. Nowhere where it is left out.
   */
  readonly listen?: PeerAddress | 'known' | undefined
  /** The port that peers reach it at, where that is another, as behind a NAT. */
  readonly outsidePort?: number | undefined
  /** Whether peers are found on local networks by multicast. @default false */
  readonly lan?: boolean | undefined
  /** Multicast does not work at an address of this machine. */
  readonly onLanTrouble?: (address: string, error: Error) => void
  /** Whether peers of an image are told of each other, and connected to when others tell of them. @default true */
  readonly exchanges?: boolean
  /**
   * `open` takes it for granted that others reach this machine at its address; `auto` has other nodes of the DHT find out.
   * @default `open` on a private DHT, else `auto`
   */
  readonly nat?: 'auto' | 'open' | undefined
  /** Public keys of relays for where holes cannot be punched. @default none */
  readonly relays?: readonly Buffer[] | undefined
  /** The only peers to connect with, but for guests of this machine. @default everybody */
  readonly allowed?: AllowedPeers | undefined
  /** What a store that is made derives its key pairs from; one that is there has its own. @default a new one */
  readonly seed?: Buffer | undefined
  /** Bytes of disk that the store may take. @default no limit */
  readonly maxDiskBytes?: number | undefined
  /** Bytes a second that are sent to, and fetched from, all peers together. @default no limit */
  readonly maxUp?: number | undefined
  readonly maxDown?: number | undefined
  /** Called when blocks in the store are found damaged, or cannot be stored. */
  readonly onStoreTrouble?: (text: string, details: object) => void
  /** Called when a peer is dropped for what it did. */
  readonly onPeerDropped?: (peer: DroppedPeer) => void
  /** Called for errors of single connections, which are normal and end nothing. */
  readonly onConnectionError?: (error: Error) => void
}

/**
 * One machine's corestore and its place in the swarm. Everything that is in the store is replicated
 * to any peer that proves to know its key.
 */
export class PeerNode implements AsyncDisposable {
  readonly store: Corestore
  /** Directory of the store. */
  readonly storage: string
  readonly knownPeers: KnownPeers | undefined
  /** Finds peers on local networks; undefined where that is turned off. */
  readonly lan: LanDiscovery | undefined
  /** What goes wrong with the store. */
  readonly health: StoreHealth
  /** How much disk the store takes, and may take. */
  readonly space: StoreSpace
  /** What may be sent and fetched. */
  readonly rates: RateLimits
  /** Blind peers that are asked to keep logs. */
  readonly blindPeers: BlindPeers
  readonly #sync: StoreSync
  readonly #swarm: Hyperswarm
  readonly #direct: DirectPeers
  readonly #replications: Replications
  readonly #probes = new Probes()
  readonly #strangers = new Strangers()
  readonly #gate: PeerGate
  readonly #failures = new DialFailures()
  /** Peers that have refused this machine, by public key in hex and by the address that was dialed. */
  readonly #refusals = new Refusals()
  readonly #slots = new SwarmSlots(this.#strangers)
  #guestPort: Promise<number> | undefined
  /** Resolves when nobody is waited for any more. */
  #ending: Promise<void> | undefined
  #listening: PeerAddress | undefined
  readonly #onError: (error: Error) => void
  readonly #options: PeerNodeOptions
  #exchanges: boolean
  /** Where peers have said that they listen. */
  readonly #addresses = new PeerAddresses()
  /** The address of each connection that was dialed without knowing the peer's key. */
  readonly #dialedAt = new WeakMap<SwarmConnection, string>()
  readonly #traffic = new TrafficCount()

  private constructor(
    store: Corestore,
    swarm: Hyperswarm,
    keyPair: KeyPair,
    gate: PeerGate,
    options: PeerNodeOptions
  ) {
    this.store = store
    this.#options = options
    this.#exchanges = options.exchanges ?? true
    this.storage = options.storage
    this.knownPeers =
      options.knownPeers === undefined ? undefined : new KnownPeers(options.knownPeers)
    this.health = new StoreHealth(options.onStoreTrouble)
    this.space = new StoreSpace(store.storage, options.storage, options.maxDiskBytes)
    const { maxUp, maxDown } = options
    this.rates = new RateLimits({ maxUp, maxDown, traffic: () => this.traffic() })
    this.#sync = new StoreSync(options.storage)
    this.#swarm = swarm
    this.blindPeers = new BlindPeers(swarm)
    this.#gate = gate
    this.#failures.watch(swarm.dht)
    this.lan = options.lan
      ? new LanDiscovery({
          publicKey: keyPair.publicKey,
          port: () => this.#listening?.port,
          onTrouble: (address, error) => options.onLanTrouble?.(address, error)
        })
      : undefined
    this.#onError = (error) => options.onConnectionError?.(error)
    this.#direct = new DirectPeers({
      keyPair,
      onConnection: (connection) => this.#add(connection, 'direct'),
      isStranger: (connection) => this.#strangers.has(connection),
      gate
    })
    const invitations = new Invitations(this.#direct)
    this.#replications = new Replications({
      store,
      strangers: this.#strangers,
      listeningPort: () => this.tcpPort,
      onPort: (connection, port) => {
        this.#addresses.note(connection, port)
        void invitations.take(connection, port)
      },
      onError: this.#onError
    })
    // Each drive that looks for its first peer listens.
    swarm.setMaxListeners(0)
    // The gate decides each time anew, and peers that make up keys are not to be remembered.
    swarm.on('ban', (peer: PeerInfo) => {
      peer.ban(false)
      if (peer.topics.length === 0) swarm.peers.delete(peer.publicKey.toString('hex'))
    })
    swarm.on('connection', (connection: SwarmConnection, peer: PeerInfo) => {
      connection.setTimeout(SILENCE_MS)
      this.#add(connection, 'swarm')
      this.#slots.give(connection, peer)
    })
  }

  /**
   * Opens the store and joins the DHT; returns before the DHT has answered.
   *
   * @throws ContainerError `BUSY` when another process has the store open, `DISK_FULL`, `IO` when it cannot listen
   */
  static async open(options: PeerNodeOptions): Promise<PeerNode> {
    lookUpMerklePaths()
    keepForkedLogs()
    tolerateUnsoundStores()
    const storage = new HypercoreStorage(options.storage, {
      // A store that was copied or moved with its home is as good as before: every block is verified.
      allowBackup: true,
      wait: false,
      writeBufferSize: WRITE_BUFFER_BYTES,
      blobGarbageCollectionAgeCutOff: REWRITTEN_PART,
      blobFileSize: BLOCK_FILE_BYTES,
      // Blocks go to the store once and are seldom read soon: through the page cache, they would drive out what is.
      useDirectIOForFlushAndCompaction: await takesDirectWrites(options.storage)
    })
    const isNew = options.seed !== undefined && !existsSync(join(options.storage, DATABASE))
    const store = new Corestore(storage, isNew ? { primaryKey: options.seed, unsafe: true } : {})
    try {
      await store.ready()
    } catch (cause) {
      const full = /no space left/i.test(text(cause)) && fullDisk(options.storage, cause)
      if (full) throw full
      throw openError(options.storage, cause)
    }
    const { bootstrap } = options
    // On most private networks nobody is behind a NAT and every peer can answer for the DHT. Left to guess, peers on a flat
    // network go half-open; hyperswarm does not forward `firewalled`, so the DHT is made here.
    const identity = await readIdentity(options.identity)
    const port = identity.udpPort
    const dht = new DHT({
      ...(port !== undefined && { port }),
      ...(bootstrap && { bootstrap }),
      ...(isOpen(options) && { firewalled: false, ephemeral: false })
    })
    const keyPair = keyPairOf(identity)
    const gate = new PeerGate(options.allowed)
    const swarm = new Hyperswarm({
      dht,
      keyPair,
      firewall: (key) => !gate.allows(key),
      relayThrough: (isForced) => relayFor(options.relays ?? [], isForced || dht.randomized)
    })
    const node = new PeerNode(store, swarm, keyPair, gate, options)
    try {
      await node.#listen(options.listen, identity.tcpPort)
      await node.#keepIdentity(identity)
    } catch (error) {
      await node[Symbol.asyncDispose]()
      throw error
    }
    return node
  }

  /**
   * Returns when all that was written to the store so far is on the disk.
   *
   * @throws ContainerError `DISK_FULL`, `IO`
   */
  sync(): Promise<void> {
    return this.#sync.sync()
  }

  /** What the store derives its key pairs from. */
  get seed(): Buffer {
    return this.store.primaryKey
  }

  /** Where peers may connect by TCP. */
  get listening(): PeerAddress | undefined {
    return this.#listening
  }

  /** The port at which peers reach this machine by TCP. */
  get tcpPort(): number | undefined {
    return this.#listening && (this.#options.outsidePort ?? this.#listening.port)
  }

  /** Whether peers of an image are told of each other here. */
  get exchanges(): boolean {
    return this.#exchanges
  }

  /** Tells peers of each other from now on, or no longer does. */
  exchange(exchanges: boolean): void {
    this.#exchanges = exchanges
  }

  /** Public keys of the only peers that this machine connects with, in hex; undefined for everybody. */
  get allowed(): AllowedPeers | undefined {
    return this.#gate.allowed
  }

  /** Connects only with these peers from now on, and ends connections with others; undefined for everybody. */
  allowOnly(allowed: AllowedPeers | undefined): void {
    this.#gate.allowed = allowed
    for (const connection of [...this.#swarm.connections, ...this.#direct.connections]) {
      if (!this.#gate.lists(connection.remotePublicKey)) connection.destroy()
    }
  }

  /** What peers know this machine by. */
  get publicKey(): Buffer {
    return this.#swarm.keyPair.publicKey
  }

  /** Whether something listens at an address. Nothing is sent. */
  reaches(address: PeerAddress): Promise<boolean> {
    return this.#direct.reaches(address)
  }

  /**
   * Connects to a peer by its address, unless there is a connection already.
   *
   * @returns whether there is one now
   */
  async dial(peer: PeerAddress): Promise<boolean> {
    const address = formatPeerAddress(peer)
    if (this.#refusals.isResting(address)) return false
    const connection = await this.#direct.dial(peer)
    if (connection) this.#dialedAt.set(connection, address)
    return connection !== undefined
  }

  /**
   * Connects to a peer whose key is known, at an address where it was, unless it is connected by TCP already.
   *
   * @returns whether it is now
   */
  async dialKnown(peer: KnownPeer): Promise<boolean> {
    const publicKey = Buffer.from(peer.publicKey, 'hex')
    if (this.#direct.has(publicKey)) return true
    if (this.#refusals.isResting(peer.publicKey)) return false
    const connection = await this.#direct.dialKnown(peer, publicKey)
    if (connection) this.#addresses.put(peer)
    return connection !== undefined
  }

  /** Has connections with a peer end that lead nowhere; called again and again while something is missed from it. */
  probe(publicKey: Buffer): void {
    for (const connection of this.#swarm.connections) {
      if (connection.remotePublicKey.equals(publicKey)) this.#probes.look(connection)
    }
  }

  /** Ends all connections with a peer, and connects with it again only after a while, which doubles each time. */
  drop(publicKey: Buffer, why: Misconduct): void {
    // Its connections may all tell of the same block.
    if (!this.#gate.allows(publicKey)) return
    const dropped = this.#gate.drop(publicKey, why)
    this.#options.onPeerDropped?.(dropped)
    for (const connection of [...this.#swarm.connections, ...this.#direct.connections]) {
      if (connection.remotePublicKey.equals(publicKey)) connection.destroy()
    }
  }

  /** Peers that were dropped since the node was opened, the latest last. */
  get dropped(): readonly DroppedPeer[] {
    return this.#gate.dropped
  }

  /** Where a peer can be connected to without the DHT, if that is known. */
  addressOf(publicKey: Buffer): KnownPeer | undefined {
    return this.#addresses.get(publicKey)
  }

  /**
   * Lets virtual machines on this machine connect, whose networks lead to its loopback.
   *
   * @returns the port at 127.0.0.1; the same one each time
   */
  listenForGuests(): Promise<number> {
    this.#guestPort ??= this.#direct.listen({ host: '127.0.0.1', port: 0 }, { forAll: true })
    return this.#guestPort
  }

  /** Resolves when each peer that was found by then is connected or has failed to connect. */
  async connected(): Promise<void> {
    await this.#swarm.flush()
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

  /** How other nodes of the DHT reach this one. */
  get nat(): NatStatus {
    return natStatusOf(this.#swarm.dht, this.#options)
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

  /**
   * Tells what became of the peers of a topic that were looked for.
   *
   * @param dialed addresses and peers that were dialed without the DHT
   */
  unreached(
    topic: Buffer,
    dialed: { readonly named: readonly PeerAddress[]; readonly known: readonly KnownPeer[] }
  ): Unreached {
    const found = [...this.#swarm.peers.values()].filter(({ topics }) =>
      topics.some((other) => topic.equals(other))
    )
    const keys = new Set(found.map(({ publicKey }) => publicKey.toString('hex')))
    for (const { publicKey } of dialed.known) keys.add(publicKey)
    const names = [...keys, ...dialed.named.map(formatPeerAddress)]
    return {
      found: found.length,
      isRefused: names.some((name) => this.#refusals.has(name)),
      unlisted: [...keys].filter((key) => !this.#gate.lists(Buffer.from(key, 'hex'))).length,
      isPrivate: this.#gate.isPrivate,
      failures: new Set([...keys].flatMap((key) => this.#failures.of(key) ?? [])),
      isRandomized: this.#swarm.dht.randomized,
      hasRelays: (this.#options.relays ?? []).length > 0
    }
  }

  leave(topic: Buffer): Promise<void> {
    return this.#swarm.leave(topic)
  }

  /** Bytes on the wire over all connections, open and closed. */
  traffic(): SwarmTraffic {
    return this.#traffic.with(this.#swarm.connections, this.#direct.connections)
  }

  /**
   * Waits until announcements are withdrawn. That waits for DHT nodes that may be gone, so not for long: announcements
   * expire by themselves. When a node ends, all its announcements share that time.
   */
  async takingBack(done: Promise<unknown> | undefined): Promise<void> {
    if (done === undefined) return
    await Promise.race([done.catch(() => {}), this.#ending ?? pause(UNANNOUNCE_WAIT_MS)])
  }

  /** Says that drives which are closed from now on are closed because the node will be. */
  beginEnd(): void {
    this.#ending ??= pause(UNANNOUNCE_WAIT_MS)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.beginEnd()
    this.#slots[Symbol.dispose]()
    this.rates[Symbol.dispose]()
    this.lan?.[Symbol.dispose]()
    await this.takingBack(this.#swarm.destroy())
    await this.#direct[Symbol.asyncDispose]()
    await this.#swarm.dht.destroy({ force: true })
    await this.store.close()
  }

  /** @param before the port of the last time, where peers look for it first */
  async #listen(listen: PeerNodeOptions['listen'], before: number | undefined): Promise<void> {
    if (listen === undefined) return
    if (listen !== 'known') {
      this.#listening = { ...listen, port: await this.#direct.listen(listen) }
      return
    }
    const host = '0.0.0.0'
    for (const port of [...(before === undefined ? [] : [before]), 0]) {
      try {
        this.#listening = { host, port: await this.#direct.listen({ host, port }, { known: true }) }
        return
      } catch (error) {
        // Nobody asked for it: the swarm does without.
        this.#onError(error as Error)
      }
    }
  }

  /** Keeps what peers know this node by, where that is to be kept and is not what it was. */
  async #keepIdentity(before: Identity): Promise<void> {
    const { identity: path } = this.#options
    if (path === undefined) return
    await this.#swarm.dht.bind()
    const now = {
      seed: before.seed,
      tcpPort: this.#listening?.port ?? before.tcpPort,
      udpPort: this.#swarm.dht.localAddress()?.port
    }
    const isKept = now.tcpPort === before.tcpPort && now.udpPort === before.udpPort
    if (!isKept || before.isNew === true) await writeIdentity(path, now)
  }

  #add(connection: SwarmConnection, kind: ConnectionKind): void {
    connection.on('error', this.#onError)
    connection.on('close', () => this.#traffic.noteClosed(connection, kind))
    this.#strangers.add(connection)
    limitAnswers(connection, this.rates)
    this.#replications.add(connection, kind)
    if (kind === 'swarm') this.blindPeers.add(connection)
    // The swarm's connections meet the gate before they are made.
    if (kind === 'direct') {
      const key = connection.remotePublicKey.toString('hex')
      this.#refusals.listen(connection, () => [key, this.#dialedAt.get(connection) ?? key])
    }
  }
}

function text(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
