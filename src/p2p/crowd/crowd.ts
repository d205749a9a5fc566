import type { CorePeer, default as Hypercore } from 'hypercore'
import type { ReplicatingPeer, RequestedBlock } from 'hypercore/lib/replicator.js'
import type { PeerNode } from '../peers/peer-node.ts'
import type { LimitedLog } from '../rate/rate-limits.ts'
import { BlockChoice, type BlockPool, type Holder } from './block-choice.ts'
import { Member } from './member.ts'
import { Introductions } from './introductions.ts'
import { LogHolders } from './log-holders.ts'
import { setGate, type RequestGate } from './request-gate.ts'
import { SendingNotices, sendingFor } from './sending-notices.ts'
import { StallWatch } from './stall-watch.ts'

/** Blocks that could not be requested are tried again after this time, if nothing else happens before. */
const RECHECK_MS = 200
/** How often it is looked whether peers still send what they were asked for. */
const WATCH_MS = 1_000
/** What hypercore says of a block that does not fit the log. */
const LIES: readonly unknown[] = ['INVALID_CHECKSUM', 'INVALID_PROOF']

export interface CrowdOptions {
  /** The log of the image's content. */
  readonly blobs: Hypercore
  readonly node: Pick<
    PeerNode,
    'dialKnown' | 'reaches' | 'publicKey' | 'tcpPort' | 'exchanges' | 'rates' | 'drop'
  >
  /** Whether blocks are wanted here. */
  readonly wantsBlocks: () => boolean
  /** Blocks that reads wait for. */
  readonly urgent: ReadonlySet<number>
}

/**
 * The connected peers that have the same image open. Brings readers together ({@link Introductions}) and spreads their
 * requests ({@link BlockChoice}). Peers of releases without this are used as before.
 */
export class Crowd implements Disposable, RequestGate {
  readonly #blobs: Hypercore
  readonly #options: CrowdOptions
  readonly #holders: LogHolders
  readonly #choice: BlockChoice
  readonly #introductions: Introductions
  readonly #notices: SendingNotices
  readonly #members = new Map<CorePeer, Member>()
  readonly #liftGate: () => void
  readonly #limited: LimitedLog
  readonly #liftLimit: () => void
  readonly #stalls = new StallWatch()
  /** Runs while a peer is connected. */
  #watching: NodeJS.Timeout | undefined
  #recheck: NodeJS.Timeout | undefined

  constructor(options: CrowdOptions) {
    const { blobs, node, wantsBlocks } = options
    this.#options = options
    this.#blobs = blobs
    this.#holders = new LogHolders(blobs)
    this.#choice = new BlockChoice(node.publicKey.toString('hex'), () => this.#holders.list)
    this.#introductions = new Introductions({
      node,
      wantsBlocks,
      connected: () => this.#holders.keys
    })
    this.#notices = new SendingNotices((notices) => {
      for (const { key, channel } of this.#membersOnce())
        channel.tellSending(sendingFor(key, notices))
    })
    this.#liftGate = setGate(blobs.core.replicator, this)
    this.#limited = limitedLog(blobs, () => this.#updatePeers())
    this.#liftLimit = node.rates.add(this.#limited)
    blobs.on('peer-add', this.#onPeerAdd)
    blobs.on('peer-remove', this.#onPeerRemove)
    blobs.on('download', this.#onDownload)
    blobs.on('verification-error', this.#onLie)
    for (const peer of blobs.peers) this.#onPeerAdd(peer)
  }

  /** Connected peers that have the log open, one for each public key. */
  get peers(): readonly Holder[] {
    return this.#holders.list
  }

  /**
   * Has all peers tell which blocks they have, from now on.
   *
   * @returns whether one of them had not been asked for that
   */
  listen(): boolean {
    return this.#holders.listen()
  }

  /** Whether several readers fetch at once. */
  get isBusy(): boolean {
    return this.#choice.isCrowd(performance.now())
  }

  /** Whether a peer with all blocks serves others, too: each peer then has a window of its own. */
  get isShared(): boolean {
    return this.#choice.hasShared(performance.now())
  }

  /** Whether one peer is much slower than another: each then has a window of its own, too. */
  get isUneven(): boolean {
    return this.#choice.isUneven()
  }

  /** A block that a peer was asked for is late. @param waitedMs how long it has been waited for */
  noteLate(peer: CorePeer, waitedMs: number): void {
    // Among readers that share a publisher, the choice of peers has times of its own for that.
    if (this.isShared) return
    this.#choice.noteLate(peer.remotePublicKey.toString('hex'), waitedMs, performance.now())
  }

  /** Whether a peer owes blocks and seems not to send them. */
  isSuspect(peer: CorePeer): boolean {
    return this.#isSuspect(peer.remotePublicKey.toString('hex'))
  }

  /** The block to be requested next of those that nobody waits for; undefined when none is to be requested now. */
  pick(pool: BlockPool): number | undefined {
    this.#holders.listen()
    const picked = this.#choice.pick(pool, performance.now())
    if (picked === undefined) this.#recheckSoon()
    return picked
  }

  allows(peer: ReplicatingPeer, request: RequestedBlock): boolean {
    const isUrgent = this.#options.urgent.has(request.index)
    return (
      this.#chooses(peer, request) && this.#options.node.rates.mayRequest(this.#limited, isUrgent)
    )
  }

  #chooses(peer: ReplicatingPeer, request: RequestedBlock): boolean {
    this.#introductions.askOn()
    this.#holders.listen()
    const holder = this.#holders.ofPeer(peer)
    if (holder === undefined) return true
    const { urgent } = this.#options
    const now = performance.now()
    const isUrgent = urgent.has(request.index)
    const askedMs = request.inflight.length === 0 ? undefined : now - ageOf(request)
    const wanted = { block: request.index, isUrgent, askedMs }
    const may =
      this.#choice.mayAsk(holder, wanted, now) &&
      (isUrgent || askedMs !== undefined || !this.#isUrgentWaiting(peer, now))
    if (!may) this.#recheckSoon()
    return may
  }

  most(peer: ReplicatingPeer): number {
    const now = performance.now()
    const holder = this.#holders.ofPeer(peer)
    const connection = holder && [...holder.connections].find((each) => each.stream === peer.stream)
    if (holder === undefined || connection === undefined) return Infinity
    const window = this.#choice.window(holder.id, this.#isUrgentWaiting(peer, now), now)
    if (this.#isSuspect(holder.id)) return 0
    if (window === Infinity) return Infinity
    // While a TCP connection takes the place of one of the swarm there are two. With a few requests, there is nothing to
    // bridge; and over UDP the many connections of a crowd lose a fifth of all packets.
    if (holder.hasBetterThan(connection)) return 0
    return Math.max(0, window - (holder.inFlight - peer.inflight))
  }

  requested(peer: ReplicatingPeer, block: number): void {
    this.#choice.noteRequest(peer.remotePublicKey.toString('hex'), performance.now())
    // Readers have enough of each other's blocks. Also with one peer: others may come.
    const isWhole = this.#blobs.contiguousLength === this.#blobs.length
    if (isWhole) this.#notices.note(peer.remotePublicKey, block)
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#recheck)
    clearInterval(this.#watching)
    this.#liftGate()
    this.#liftLimit()
    this.#blobs.off('peer-add', this.#onPeerAdd)
    this.#blobs.off('peer-remove', this.#onPeerRemove)
    this.#blobs.off('download', this.#onDownload)
    this.#blobs.off('verification-error', this.#onLie)
    this.#introductions[Symbol.dispose]()
    this.#notices[Symbol.dispose]()
    this.#holders[Symbol.dispose]()
    for (const { channel } of this.#members.values()) channel.close()
    this.#members.clear()
  }

  readonly #onPeerAdd = (peer: CorePeer): void => {
    this.#holders.add(peer)
    this.#members.set(peer, this.#newMember(peer))
    if (this.#watching !== undefined) return
    // Peers that have been here before are not judged for the time without any.
    this.#stalls.look([], performance.now())
    this.#watching = setInterval(() => this.#watch(), WATCH_MS).unref()
  }

  readonly #onPeerRemove = (peer: CorePeer): void => {
    const member = this.#members.get(peer)
    this.#members.delete(peer)
    if (member) this.#introductions.remove(member)
    member?.channel.close()
    this.#holders.remove(peer)
    if (this.#holders.list.length === 0) {
      clearInterval(this.#watching)
      this.#watching = undefined
    }
    if (this.#holders.of(peer.remotePublicKey) === undefined) {
      this.#choice.forget(peer.remotePublicKey.toString('hex'))
      this.#notices.forget(peer.remotePublicKey)
    }
  }

  readonly #onLie = (
    error: { readonly code?: unknown },
    request: { readonly block?: object | null } | null,
    _response: unknown,
    from: CorePeer
  ): void => {
    if (request?.block && LIES.includes(error.code)) {
      this.#options.node.drop(from.remotePublicKey, 'lied')
    }
  }

  readonly #onDownload = (
    block: number,
    _bytes: number,
    from: CorePeer,
    request: { readonly elapsed: number } | null
  ): void => {
    const sender = from.remotePublicKey.toString('hex')
    this.#choice.noteArrival(sender, block, request?.elapsed, performance.now())
    this.#stalls.arrived(sender, performance.now())
  }

  #newMember(peer: CorePeer): Member {
    const sender = peer.remotePublicKey.toString('hex')
    const { tcpPort, exchanges } = this.#options.node
    const introductions = this.#introductions
    const member: Member = new Member(peer, this.#blobs.discoveryKey, {
      onOpen: () => {
        if (exchanges && tcpPort !== undefined) member.channel.tellPort(tcpPort)
        member.channel.tellSending(sendingFor(peer.remotePublicKey, this.#notices.recent))
        introductions.add(member)
      },
      onPort: (port) => void introductions.takePort(member, port),
      onAsk: () => introductions.answer(member),
      onPeers: (peers) => introductions.takePeers(member, peers),
      onSending: (sending) => {
        for (const { receiver, blocks } of sending) {
          this.#choice.noteSending(sender, receiver, blocks, performance.now())
        }
      }
    })
    return member
  }

  /** One for each peer, though it may be connected twice. */
  #membersOnce(): Iterable<Member> {
    return new Map(
      [...this.#members.values()].map((each) => [each.key.toString('hex'), each])
    ).values()
  }

  #isUrgentWaiting(peer: ReplicatingPeer, nowMs: number): boolean {
    const { urgent } = this.#options
    if (urgent.size === 0) return false
    const holder = this.#holders.ofPeer(peer)
    for (const block of urgent) {
      const inflight = peer.replicator._blocks.get(block)?.inflight ?? []
      if (inflight.length > 0 || !holder?.has(block) || this.#blobs.core.bitfield.get(block))
        continue
      if (this.#choice.mayAsk(holder, { block, isUrgent: true }, nowMs)) return true
    }
    return false
  }

  #watch(): void {
    const holders = this.#holders.list
    const stalled = this.#stalls.look(holders, performance.now())
    // What they owe is requested from others now.
    if (holders.some(({ id }) => this.#isSuspect(id))) this.#recheckSoon()
    for (const id of stalled) {
      // One with a slow link that sends to many others lets each of them wait.
      if (this.#choice.isSharing(id, performance.now())) continue
      this.#options.node.drop(Buffer.from(id, 'hex'), 'stalled')
    }
  }

  /**
   * Among readers that share a publisher, answers wait for their turn: whoever asked another one instead would have the
   * publisher send a block twice.
   */
  #isSuspect(id: string): boolean {
    return !this.isShared && this.#stalls.isSuspect(id)
  }

  #recheckSoon(): void {
    this.#recheck ??= setTimeout(() => {
      this.#recheck = undefined
      this.#updatePeers()
    }, RECHECK_MS).unref()
  }

  #updatePeers(): void {
    for (const peer of this.#blobs.peers) this.#blobs.core.replicator.updatePeer(peer)
  }
}

/** The log, as a limit for what is fetched sees it. @param request has peers asked for what they may be asked for */
function limitedLog(log: Hypercore, request: () => void): LimitedLog {
  return {
    request,
    get blockBytes() {
      return Math.ceil(log.byteLength / Math.max(1, log.length))
    },
    get inFlight() {
      return log.peers.reduce((sum, { inflight }) => sum + inflight, 0)
    }
  }
}

/** How long ago a block was last requested. Milliseconds. */
function ageOf({ inflight }: RequestedBlock): number {
  return Date.now() - Math.max(...inflight.map(({ timestamp }) => timestamp))
}
