import type Corestore from 'corestore'
import type Hypercore from 'hypercore'
import { discoveryKey } from 'hypercore-crypto'
import type { PeerDiscovery } from 'hyperswarm'
import { pause, sharedController, untilAborted } from '../../core/abort.ts'
import { ContainerError } from '../../core/errors.ts'
import { knowSome } from '../drive/drive-cores.ts'
import type { PeerAddress } from '../peer-address.ts'
import type { PeerNode } from '../peers/peer-node.ts'
import { PeerSearch, type PeerWants } from '../peers/peer-search.ts'
import { syncBeforeTelling } from '../store/durable-log.ts'
import { MAX_RECORD_BYTES } from './channel-record.ts'

/** The name of a channel's log within its namespace of the store. */
const LOG_NAME = 'channel'
/** More than ten years of a record every two hours; all holders keep all of them. */
const MAX_RECORDS = 65_536
/** With a peer at hand, how long it may take to tell of a newer record. */
const FRESHNESS_WAIT_MS = 1_500
const LOOK_STEP_MS = 50

export interface ChannelLogOptions {
  readonly node: PeerNode
  readonly key: Buffer
  /** Names the key pair in the store, where this home sets the channel. */
  readonly namespace: string | null
  /** Whether peers are looked for although nobody waits, so that a new record is noticed. */
  readonly isFollowed: () => boolean
  /** Called when there may be a newer record. */
  readonly onRecord: () => void
  /** Called when two histories of the log are signed. */
  readonly onFork: () => void
}

/** The newest record that is known. */
export interface NewestRecord {
  /** Number of the record, from 1. */
  readonly number: number
  readonly bytes: Buffer
  /** Nobody was there who could tell of a newer one. */
  readonly mayBeOld: boolean
}

/** The log of one channel, whose block n is its record n + 1: announced, replicated, and looked for where that is wanted. */
export class ChannelLog implements AsyncDisposable {
  readonly key: Buffer
  readonly #options: ChannelLogOptions
  readonly #closed = sharedController()
  readonly #endAnnouncing: () => void
  readonly #discovery: PeerDiscovery
  readonly #search: PeerSearch
  readonly #opening: Promise<Hypercore>
  #space: Corestore | undefined
  #log: Hypercore | undefined
  #download: { destroy(): void } | undefined
  #waiting = 0

  constructor(options: ChannelLogOptions) {
    const { node, key } = options
    this.key = key
    this.#options = options
    this.#endAnnouncing = node.lan?.announce(key) ?? (() => {})
    // Who only looks gets the first answer sooner.
    this.#discovery = node.join(discoveryKey(key), { server: false, client: true })
    this.#search = new PeerSearch({
      node,
      discovery: this.#discovery,
      key,
      wants: () => this.#wants(),
      connected: () => this.#log?.peers.map(({ remotePublicKey }) => remotePublicKey) ?? [],
      onFound: () => {},
      signal: this.#closed.signal
    })
    void this.#announce().catch(() => {})
    this.#opening = this.#open()
    this.#opening.catch(() => {})
  }

  /** Makes a log that only this home can add to. @returns its key */
  static async create(node: PeerNode, namespace: string): Promise<Buffer> {
    const space = node.store.namespace(namespace)
    try {
      const log = space.get({ name: LOG_NAME })
      await log.ready()
      return log.key
    } finally {
      await space.close()
    }
  }

  /** Peers that are connected to without the DHT. */
  addPeers(peers: readonly PeerAddress[]): void {
    this.#search.addNamed(peers)
  }

  /** How many peers that have it are connected. */
  get peers(): number {
    return this.#log?.peers.length ?? 0
  }

  /** How many records are known, here or from peers. */
  get length(): number {
    return this.#log?.length ?? 0
  }

  /** Peers may be wanted now that were not before. */
  wake(): void {
    this.#search.wake()
  }

  /** Resolves when the log is open, whatever is known of it. */
  async ready(): Promise<void> {
    await this.#opening
  }

  /**
   * Finds the newest record; waits for the first one as long as it takes.
   *
   * @param options.lookMs how long peers are looked for where a record is known already; 0 asks nobody
   * @throws ContainerError `BAD_CHANNEL` for a log that is no channel; the signal's reason
   */
  async newest({
    lookMs,
    signal
  }: {
    readonly lookMs: number
    readonly signal: AbortSignal
  }): Promise<NewestRecord> {
    const either = AbortSignal.any([signal, this.#closed.signal])
    this.#waiting++
    this.#search.wake()
    try {
      const log = await untilAborted(this.#opening, either)
      if (lookMs > 0) await this.#catchUp(log, lookMs, either)
      await knowSome(log, either)
      checkBounds(log)
      const number = log.length
      const bytes = await untilAborted(log.get(number - 1), either)
      if (bytes === null) throw new ContainerError('IO', 'the channel was closed')
      return { number, bytes, mayBeOld: log.peers.length === 0 }
    } finally {
      this.#waiting--
    }
  }

  /** Whether a peer knows records that it cannot prove or has not sent. */
  get isBehind(): boolean {
    return this.#log?.peers.some(({ remoteLength }) => remoteLength > this.length) === true
  }

  /**
   * Takes what connected peers know beyond the end of the log here, as a home does whose backup was restored.
   *
   * @param lookMs how long such peers are looked for
   */
  async catchUp(lookMs: number, signal: AbortSignal): Promise<void> {
    const either = AbortSignal.any([signal, this.#closed.signal])
    this.#waiting++
    this.#search.wake()
    try {
      await this.#catchUp(await untilAborted(this.#opening, either), lookMs, either)
    } finally {
      this.#waiting--
    }
  }

  /**
   * Adds a record. When this returns, it is on the disk and peers are told of it.
   *
   * @param bytes as they shall be at `number`
   */
  async append(bytes: Buffer): Promise<void> {
    const log = await this.#opening
    await log.append([bytes])
  }

  /** Frees all records. Nobody else has the log open. */
  async clear(): Promise<void> {
    const log = await this.#opening
    this.#download?.destroy()
    await log.clear(0, log.length)
    await log.compact()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort(new ContainerError('CANCELLED', 'the channel was closed'))
    this.#endAnnouncing()
    this.#download?.destroy()
    await this.#search.ended
    await Promise.all([this.#close(), this.#options.node.takingBack(this.#discovery.destroy())])
  }

  async #close(): Promise<void> {
    const log = await this.#opening.catch(() => undefined)
    await log?.close()
    await this.#space?.close()
  }

  async #announce(): Promise<void> {
    await this.#discovery.flushed()
    if (this.#closed.signal.aborted) return
    this.#search.announce()
    await this.#discovery.refresh({ client: true, server: true })
  }

  async #open(): Promise<Hypercore> {
    const { node, key, namespace, onRecord, onFork } = this.#options
    if (namespace !== null) this.#space = node.store.namespace(namespace)
    const log = this.#space?.get({ name: LOG_NAME }) ?? node.store.get({ key })
    await log.ready()
    if (namespace !== null) syncBeforeTelling(log, () => node.sync(), true)
    log.on('conflict', onFork)
    for (const event of ['peer-add', 'peer-remove'] as const) {
      log.on(event, () => this.#search.wake())
    }
    log.on('append', () => {
      this.#fetchAll(log)
      onRecord()
    })
    this.#log = log
    this.#fetchAll(log)
    this.#search.wake()
    return log
  }

  /** Keeps all records here and follows the log: who lacks some cannot prove the newest one to everybody. */
  #fetchAll(log: Hypercore): void {
    if (this.#closed.signal.aborted) return
    try {
      checkBounds(log)
    } catch {
      // Nothing more is taken from a log that is no channel.
      this.#download?.destroy()
      return
    }
    this.#download ??= log.download({ start: 0, end: -1 })
  }

  async #catchUp(log: Hypercore, lookMs: number, signal: AbortSignal): Promise<void> {
    const endMs = performance.now() + lookMs
    while (log.peers.length === 0 && performance.now() < endMs) {
      signal.throwIfAborted()
      await pause(LOOK_STEP_MS, signal)
    }
    if (log.peers.length === 0) return
    const late = pause(FRESHNESS_WAIT_MS, signal).then(() => 'late' as const)
    do {
      // By force, as its owner may have lost the end of the log.
      const updated = log.update({ wait: true, force: true }).catch(() => false)
      if ((await untilAborted(Promise.race([updated, late]), signal)) !== true) break
    } while (this.isBehind)
  }

  #wants(): PeerWants {
    const peers = this.#log?.peers.length ?? 0
    if (peers > 0) return { urgency: 'nothing', isIdle: true }
    if (this.#waiting > 0) return { urgency: 'now' }
    if (this.#options.isFollowed()) return { urgency: 'later' }
    return { urgency: 'nothing', isIdle: true }
  }
}

/** @throws ContainerError `BAD_CHANNEL` for a log that cannot consist of records */
function checkBounds({ length, byteLength, fork }: Hypercore): void {
  if (fork !== 0) throw noChannel('its log was cut and written anew')
  if (length > MAX_RECORDS) throw noChannel(`it has more than ${MAX_RECORDS} records`)
  if (byteLength > length * MAX_RECORD_BYTES) throw noChannel('its records are too long')
}

function noChannel(why: string): ContainerError {
  return new ContainerError('BAD_CHANNEL', `the channel is refused: ${why}`, {
    hint: 'ask whoever gave you its link for another one'
  })
}
