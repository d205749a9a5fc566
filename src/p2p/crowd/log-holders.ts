import type { CorePeer, default as Hypercore, WantHandle } from 'hypercore'
import type { Holder } from './block-choice.ts'

/** hypercore keeps a want until its owner gives it up; this one is kept as long as the peer. */
const FOR_GOOD: WantHandle = { addWant: () => {}, removeWant: () => {} }

/** A path that has carried so much lets full packets through. */
const PROVEN_BYTES = 8 * 1024

/** The connected peers of a log, one for each public key: a peer may be connected twice for a while. */
export class LogHolders implements Disposable {
  readonly #log: Hypercore
  readonly #byKey = new Map<string, LogHolder>()
  readonly #byPeer = new WeakMap<object, LogHolder>()
  /** Those that tell of each block that they get. */
  readonly #telling = new WeakSet<CorePeer>()
  /** Whether all do. */
  #areTelling = false
  #list: readonly LogHolder[] = []

  constructor(log: Hypercore) {
    this.#log = log
  }

  get list(): readonly LogHolder[] {
    return this.#list
  }

  /** Public keys in hex. */
  get keys(): Pick<ReadonlySet<string>, 'has' | 'size'> {
    return this.#byKey
  }

  of(publicKey: Buffer): LogHolder | undefined {
    return this.#byKey.get(publicKey.toString('hex'))
  }

  /** The same for a connected peer, which is what is asked for most often. */
  ofPeer(peer: object): LogHolder | undefined {
    return this.#byPeer.get(peer)
  }

  add(peer: CorePeer): void {
    const id = peer.remotePublicKey.toString('hex')
    const holder = this.#byKey.get(id) ?? new LogHolder(id, this.#log)
    holder.connections.add(peer)
    this.#byKey.set(id, holder)
    this.#byPeer.set(peer, holder)
    this.#areTelling = false
    this.#list = [...this.#byKey.values()]
  }

  remove(peer: CorePeer): void {
    const id = peer.remotePublicKey.toString('hex')
    const holder = this.#byKey.get(id)
    holder?.connections.delete(peer)
    this.#byPeer.delete(peer)
    if (holder?.connections.size === 0) this.#byKey.delete(id)
    this.#list = [...this.#byKey.values()]
  }

  /**
   * Has all peers tell which blocks they have, and each further one that they get. hypercore by itself asks a peer for that
   * only when it looks for a block that the peer does not have.
   *
   * @returns whether one of them had not been asked for that
   */
  listen(): boolean {
    if (this.#areTelling || this.#log.length === 0) return false
    let isNew = false
    const block = this.#log.length - 1
    for (const { connections } of this.#list) {
      for (const peer of connections) {
        if (this.#telling.has(peer)) continue
        this.#telling.add(peer)
        peer._maybeWant(block, FOR_GOOD)
        isNew = true
      }
    }
    this.#areTelling = true
    return isNew
  }

  [Symbol.dispose](): void {
    this.#byKey.clear()
    this.#list = []
  }
}

/** A peer, with the one or two connections that it has. */
export class LogHolder implements Holder {
  readonly id: string
  readonly connections = new Set<CorePeer>()
  readonly #log: Hypercore

  constructor(id: string, log: Hypercore) {
    this.id = id
    this.#log = log
  }

  has(block: number): boolean {
    for (const peer of this.connections) {
      if (peer.isActive() && peer._remoteHasBlock(block)) return true
    }
    return false
  }

  get isWhole(): boolean {
    for (const peer of this.connections) {
      if (peer._remoteContiguousLength >= this.#log.length) return true
    }
    return false
  }

  /** Whether all requests go over another connection than this one: one by TCP that has carried blocks. */
  hasBetterThan(peer: CorePeer): boolean {
    if (isTcp(peer)) return false
    for (const other of this.connections) {
      if (isTcp(other) && other.stream.rawBytesRead > PROVEN_BYTES) return true
    }
    return false
  }

  /** Bytes that came over its connections, of other logs, too. */
  get bytesRead(): number {
    let sum = 0
    for (const { stream } of this.connections) sum += stream.rawBytesRead
    return sum
  }

  get inFlight(): number {
    let sum = 0
    for (const { inflight } of this.connections) sum += inflight
    return sum
  }
}

function isTcp({ stream }: CorePeer): boolean {
  return stream.rawStream.remoteAddress !== undefined
}
