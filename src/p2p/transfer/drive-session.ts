import { discoveryKey } from 'hypercore-crypto'
import type { PeerDiscovery } from 'hyperswarm'
import { isContainerError } from '../../core/errors.ts'
import type { Manifest } from '../../image/format/manifest.ts'
import { monotonicMs } from '../../core/monotonic-clock.ts'
import { BlockFetcher } from './block-fetcher.ts'
import { ENOUGH_PEERS } from '../crowd/introductions.ts'
import { closeDriveCores, openDriveCores, type DriveCores } from '../drive/drive-cores.ts'
import { readManifest } from './image-manifest.ts'
import { readLocalManifest } from './local-manifest.ts'
import type { PeerAddress } from '../peer-address.ts'
import type { PeerNode } from '../peers/peer-node.ts'
import { PeerSearch, type PeerWants } from '../peers/peer-search.ts'
import { withReason } from '../reach/unreached.ts'
import { StoredBlocks } from '../store/stored-blocks.ts'
import { pause, peerDeadline, sharedController, untilAborted } from '../../core/abort.ts'

/** How long an owner looks for peers that may have more of its logs, and waits for what they say. */
const CATCH_UP_MS = 15_000
/** How long a new connection may take until it is known which logs the peer has. */
const TELL_MS = 2_000
const TELL_STEP_MS = 50
/** How long the log of entries may take to become longer where that of the content has. */
const ENTRIES_MS = 1_000
/** With a peer at hand, how long the newest version is waited for before the local one serves. */
const FRESHNESS_WAIT_MS = 1_500

export interface DriveSessionOptions {
  readonly node: PeerNode
  readonly key: Buffer
  /** Undefined holds the drive blind: it can be fetched and served, not read. */
  readonly secret: Buffer | undefined
  /** Owners announce only; readers look for peers too; one that is alone tells nobody. */
  readonly role: 'owner' | 'reader' | 'alone'
  /** Called when a log has two histories. */
  readonly onFork?: () => void
}

/** One drive that this machine holds: announced, replicated, and read when there is a secret. */
export class DriveSession implements AsyncDisposable {
  readonly key: Buffer
  readonly secret: Buffer | undefined
  readonly #node: PeerNode
  readonly #discovery: PeerDiscovery | undefined
  readonly #closed = sharedController()
  readonly #announced: Promise<void>
  readonly #search: PeerSearch | undefined
  readonly #stopLooking: () => void = () => {}
  readonly #endAnnouncing: () => void = () => {}
  readonly #onFork: () => void
  #peerFoundMs: number | undefined
  #peerConnectedMs: number | undefined
  #opening: Promise<OpenDrive> | undefined
  #open: OpenDrive | undefined

  constructor(options: DriveSessionOptions) {
    this.key = options.key
    this.secret = options.secret
    this.#node = options.node
    this.#onFork = () => options.onFork?.()
    const isReader = options.role === 'reader'
    this.#announced = Promise.resolve()
    if (options.role === 'alone') return
    this.#endAnnouncing = options.node.lan?.announce(options.key) ?? (() => {})
    if (isReader) {
      this.#stopLooking = options.node.oncePeerFound(discoveryKey(options.key), () => {
        this.#peerFoundMs = monotonicMs()
      })
    }
    this.#discovery = options.node.join(discoveryKey(options.key), {
      server: !isReader,
      client: isReader
    })
    this.#announced = isReader
      ? this.#announceAfterLookUp(this.#discovery)
      : this.#discovery.flushed()
    // A node that ends meanwhile rejects it, and perhaps nobody waits.
    this.#announced.catch(() => {})
    if (!isReader) return
    this.#search = new PeerSearch({
      node: this.#node,
      discovery: this.#discovery,
      key: this.key,
      wants: () => this.#wants(),
      connected: () =>
        this.#open?.cores.blobs.peers.map(({ remotePublicKey }) => remotePublicKey) ?? [],
      onFound: () => (this.#peerFoundMs ??= monotonicMs()),
      signal: this.#closed.signal
    })
  }

  /** Peers that are connected to without the DHT, now and whenever nobody else is there; a reader looks for them. */
  addPeers(peers: readonly PeerAddress[]): void {
    this.#search?.addNamed(peers)
  }

  /** When the first peer that has it was found, and when it was connected, by `monotonicMs`. */
  get firstPeer(): { readonly foundMs: number | null; readonly connectedMs: number | null } {
    return { foundMs: this.#peerFoundMs ?? null, connectedMs: this.#peerConnectedMs ?? null }
  }

  /** Adds to an error for peers that were not reached what is known of the reason; leaves other errors as they are. */
  explain(error: unknown): unknown {
    if (!isContainerError(error, 'PEERS_UNREACHABLE') || this.#search === undefined) return error
    const { blobs } = this.#open?.cores ?? {}
    if (blobs !== undefined && blobs.peers.length > 0) return error
    return withReason(error, this.#node.unreached(discoveryKey(this.key), this.#search.dialed))
  }

  /** Resolves when peers can find this machine by the drive's topic. */
  announced(): Promise<void> {
    return this.#announced
  }

  /** Both logs and the fetcher, once something of each is known. Keeps looking after `signal`. */
  async open(signal: AbortSignal): Promise<OpenDrive> {
    if (!this.#opening) {
      const opening = this.#openCores()
      this.#opening = opening
      opening.catch(() => {
        if (this.#opening === opening) this.#opening = undefined
      })
    }
    return untilAborted(this.#opening, signal)
  }

  /** The open logs, or undefined while nothing is known of the drive. */
  get opened(): OpenDrive | undefined {
    return this.#open
  }

  /**
   * The manifest of a version, or of the newest that is known now.
   *
   * @param options.localOnly of what is on this machine: nobody is asked @default false
   */
  async manifest(
    version: number | undefined,
    signal: AbortSignal,
    { localOnly = false } = {}
  ): Promise<Manifest> {
    const hadIt = this.#open !== undefined
    const { cores, fetcher } = await this.open(signal)
    if (localOnly) return readLocalManifest(cores, fetcher, version, signal)
    if (version === undefined && cores.blobs.peers.length > 0 && (hadIt || this.#startedLocal)) {
      await Promise.race([
        // By force, as an owner may have lost the end of its log.
        cores.blobs.update({ wait: true, force: true }).catch(() => false),
        pause(FRESHNESS_WAIT_MS, signal)
      ])
    }
    return readManifest(cores, fetcher, version, signal)
  }

  /** How many of the connected peers have all that is known of its content. */
  get copies(): number {
    const blobs = this.#open?.cores.blobs
    if (blobs === undefined || blobs.length === 0) return 0
    const whole = blobs.peers.filter((peer) => peer.remoteContiguousLength >= blobs.length)
    // A peer may be connected twice.
    return new Set(whole.map(({ remotePublicKey }) => remotePublicKey.toString('hex'))).size
  }

  /**
   * Takes from peers what they hold of the logs beyond their end here: an owner may have lost that, as to a backup that
   * was restored. Only the end is known then; blocks come when they are asked for.
   *
   * @param look looks for peers first; else those are asked that are connected
   * @returns whether a log has become longer
   */
  async catchUp(look: boolean, signal: AbortSignal): Promise<boolean> {
    const either = AbortSignal.any([signal, this.#closed.signal])
    const { signal: until, clear } = peerDeadline(either, CATCH_UP_MS, 'lost versions')
    const looking = look ? this.#look(until) : Promise.resolve()
    try {
      const { cores } = await this.open(until)
      const logs = [cores.db, cores.blobs]
      const before = logs.map(({ length }) => length)
      const found = look ? logs.map((log) => log.findingPeers()) : []
      void this.#stopFinding(looking, found)
      const [entries, content] = logs.map((log) => log.update({ wait: true, force: true }))
      await untilAborted(content ?? Promise.resolve(false), until)
      // Who has only read the image may not be able to prove more of this log, and no reader needs it.
      entries?.catch(() => {})
      await Promise.race([entries, pause(ENTRIES_MS, until)])
      return logs.some(({ length }, n) => length > (before[n] ?? 0))
    } catch (error) {
      // Nobody has answered in time.
      if (isContainerError(error, 'PEERS_UNREACHABLE')) return false
      throw error
    } finally {
      await looking
      clear()
    }
  }

  /** Whether a peer has more of the content's log than is here, which it cannot prove or has not sent. */
  get isBehind(): boolean {
    const { blobs } = this.#open?.cores ?? {}
    return blobs?.peers.some(({ remoteLength }) => remoteLength > blobs.length) === true
  }

  async #stopFinding(looking: Promise<void>, found: readonly (() => void)[]): Promise<void> {
    await looking
    for (const stop of found) stop()
  }

  async #look(until: AbortSignal): Promise<void> {
    while (!until.aborted && !this.#hasPeers()) {
      const looked = this.#discovery?.refresh({ client: true, server: true })
      const connected = looked?.then(() => this.#node.connected()) ?? Promise.resolve()
      await untilAborted(connected, until).catch(() => {})
      // It is not known yet which logs the peer of a new connection has.
      const told = performance.now() + TELL_MS
      while (!until.aborted && !this.#hasPeers() && performance.now() < told) {
        await pause(TELL_STEP_MS, until)
      }
    }
  }

  #hasPeers(): boolean {
    const { db, blobs } = this.#open?.cores ?? {}
    return [db, blobs].every((log) => (log?.peers.length ?? 0) > 0)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort(new Error('the drive was closed'))
    this.#stopLooking()
    this.#endAnnouncing()
    await this.#search?.ended
    this.#open?.fetcher.close()
    // The two have nothing to do with each other, and the second waits for others.
    await Promise.all([this.#closeCores(), this.#node.takingBack(this.#discovery?.destroy())])
  }

  async #closeCores(): Promise<void> {
    await this.#opening?.catch(() => {})
    this.#storedEntries?.[Symbol.dispose]()
    if (this.#open) await closeDriveCores(this.#open.cores)
  }

  /** Blocks of the entries' log; the fetcher looks after the other log. */
  #storedEntries: StoredBlocks | undefined
  /** Whether the logs were known before any peer was asked. */
  #startedLocal = false

  async #openCores(): Promise<OpenDrive> {
    const cores = await openDriveCores({
      store: this.#node.store,
      key: this.key,
      secret: this.secret,
      signal: this.#closed.signal,
      onPeer: () => (this.#peerConnectedMs = monotonicMs())
    })
    // Two histories of the entries do no harm: each reader keeps the one that it has, and reads content by manifests.
    cores.blobs.on('conflict', this.#onFork)
    this.#startedLocal = cores.blobs.peers.length === 0
    this.#storedEntries = new StoredBlocks(cores.db, this.#node.health)
    // A mirror is read by nobody here, and wants all.
    const wantsAll = this.secret === undefined
    const onWant = (): void => this.#search?.wake()
    for (const event of ['peer-add', 'peer-remove', 'append'] as const)
      cores.blobs.on(event, onWant)
    const fetcher = new BlockFetcher(cores.blobs, this.#node, { wantsAll, onWant })
    this.#open = { cores, fetcher }
    onWant()
    return this.#open
  }

  /**
   * hyperswarm asks for peers only once it listens, and a node listens once it has asked all its
   * neighbours, dead ones included: seconds. Who only looks gets the first answer in milliseconds.
   */
  async #announceAfterLookUp(discovery: PeerDiscovery): Promise<void> {
    await discovery.flushed()
    if (this.#closed.signal.aborted) return
    this.#search?.announce()
    // The last query is over, so that changing the roles cancels none.
    await discovery.refresh({ client: true, server: true }).catch(() => {})
  }

  #wants(): PeerWants {
    if (this.#open === undefined) return { urgency: 'now' }
    const { cores, fetcher } = this.#open
    const { peers, contiguousLength, length } = cores.blobs
    // A mirror is read by nobody here, and wants what it lacks.
    const isToFill = this.secret === undefined && contiguousLength < length
    const urgency = fetcher.wants === 'nothing' && isToFill ? 'later' : fetcher.wants
    if (urgency === 'nothing') return { urgency, isIdle: true }
    if (peers.length === 0) return { urgency }
    if (fetcher.isShort) return { urgency: fetcher.wants, lacks: 'blocks' }
    return peers.length < ENOUGH_PEERS ? { urgency, lacks: 'others' } : { urgency: 'nothing' }
  }
}

export interface OpenDrive {
  readonly cores: DriveCores
  readonly fetcher: BlockFetcher
}
