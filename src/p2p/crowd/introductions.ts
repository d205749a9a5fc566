import { putYoungest } from '../../core/put-youngest.ts'
import { isIP } from 'node:net'
import type { SwarmConnection } from 'hyperswarm'
import { shuffled } from '../../core/shuffled.ts'
import type { KnownPeer } from '../peers/known-peers.ts'
import type { PeerNode } from '../peers/peer-node.ts'
import { isMeaningfulTo } from './address-scope.ts'
import { MOST_PEERS } from './crowd-messages.ts'

/** With so many peers of an image, a reader looks for no more. */
export const ENOUGH_PEERS = 8
const MOST_DIALS = 4
/** Pauses between two times that others are asked for peers; the last one repeats as long as blocks are wanted. */
const ASK_PAUSES_MS = [300, 700, 1_000, 2_000, 5_000, 15_000, 30_000]
/** A peer that asks more often is not answered. */
const LEAST_ASK_MS = 200
/** A peer that was dialed is not dialed again for this time. */
const REST_MS = 60_000
const MOST_RESTING = 256

/** A peer of the image that understands introductions. */
export interface Acquaintance {
  readonly connection: SwarmConnection
  ask(): void
  tellPeers(peers: readonly KnownPeer[]): void
}

/** What has passed between this machine and an acquaintance. */
interface Manners {
  /** When it was last answered, of `performance.now`. */
  answeredAt: number
  /** It has told where it listens. */
  hasTold: boolean
  /** It was asked for others, and has not answered. */
  isAsked: boolean
}

export interface IntroductionsOptions {
  readonly node: Pick<PeerNode, 'dialKnown' | 'reaches' | 'publicKey' | 'exchanges'>
  /** Whether blocks of the image are wanted here. */
  readonly wantsBlocks: () => boolean
  /** Public keys of the connected peers of the image, in hex. */
  readonly connected: () => Pick<ReadonlySet<string>, 'has' | 'size'>
}

/**
 * Tells peers of one image where the others are, and connects to those that this machine is told of, so that readers of an
 * image find each other in two round trips and without the DHT. An address is passed on only while its peer is connected
 * here and after this machine has reached it there itself.
 */
export class Introductions implements Disposable {
  readonly #options: IntroductionsOptions
  readonly #acquaintances = new Map<Acquaintance, Manners>()
  /** Where peers were reached, by public key in hex. */
  readonly #reached = new Map<string, KnownPeer>()
  readonly #restingUntil = new Map<string, number>()
  readonly #told: KnownPeer[] = []
  #dials = 0
  #round = 0
  #timer: NodeJS.Timeout | undefined
  #isClosed = false

  constructor(options: IntroductionsOptions) {
    this.#options = options
  }

  /** A peer is there that can be asked, and asks. */
  add(peer: Acquaintance): void {
    this.#acquaintances.set(peer, { answeredAt: -Infinity, hasTold: false, isAsked: false })
    this.#round = 0
    if (this.#lacksPeers()) this.#ask(peer)
    this.askOn()
  }

  /** A connection has ended. */
  remove(peer: Acquaintance): void {
    this.#acquaintances.delete(peer)
    const key = keyOf(peer.connection)
    const isGone = ![...this.#acquaintances.keys()].some((other) => keyOf(other.connection) === key)
    if (isGone) this.#reached.delete(key)
  }

  /** Asks for peers from time to time, as long as blocks and peers are lacking. Called when blocks are wanted. */
  askOn(): void {
    if (this.#isClosed || this.#timer || !this.#lacksPeers()) return
    const pauseMs = ASK_PAUSES_MS[Math.min(this.#round++, ASK_PAUSES_MS.length - 1)]
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      if (!this.#lacksPeers()) return
      const all = [...this.#acquaintances.keys()]
      const peer = all[Math.floor(Math.random() * all.length)]
      if (peer) this.#ask(peer)
      this.#dial()
      this.askOn()
    }, pauseMs).unref()
  }

  /**
   * A peer has told the port at which it listens. Only where it was reached by TCP: hand-over of a connection of the swarm
   * has tried the port already.
   */
  async takePort(peer: Acquaintance, told: number): Promise<void> {
    const { connection } = peer
    const manners = this.#acquaintances.get(peer)
    // Once: this machine connects to it.
    if (manners === undefined || manners.hasTold) return
    manners.hasTold = true
    const { node } = this.#options
    const { remoteAddress, remotePort } = connection.rawStream
    const host = hostOf(connection)
    if (!node.exchanges || remoteAddress === undefined || host === undefined) return
    const port = connection.isInitiator ? (remotePort ?? 0) : told
    if (port < 1 || port > 65_535) return
    if (!connection.isInitiator && !(await node.reaches({ host, port }))) return
    const publicKey = keyOf(connection)
    if (!this.#isClosed) this.#reached.set(publicKey, { publicKey, host, port })
  }

  /** A peer wants to know of others. */
  answer(peer: Acquaintance): void {
    const manners = this.#acquaintances.get(peer)
    const now = performance.now()
    if (manners === undefined || now - manners.answeredAt < LEAST_ASK_MS) return
    manners.answeredAt = now
    const viewer = hostOf(peer.connection)
    const itself = keyOf(peer.connection)
    const connected = this.#options.connected()
    const others = [...this.#reached.values()].filter(
      ({ publicKey, host }) =>
        publicKey !== itself &&
        connected.has(publicKey) &&
        (viewer === undefined || isMeaningfulTo(host, viewer))
    )
    if (others.length > 0) peer.tellPeers(shuffled(others).slice(0, MOST_PEERS))
  }

  /** A peer has told of others. Only an answer counts: this machine connects to what it is told of. */
  takePeers(peer: Acquaintance, peers: readonly KnownPeer[]): void {
    const { connection } = peer
    const manners = this.#acquaintances.get(peer)
    if (!this.#options.node.exchanges || manners === undefined || !manners.isAsked) return
    manners.isAsked = false
    const teller = hostOf(connection)
    const known = new Set(this.#told.map(({ publicKey }) => publicKey))
    for (const other of peers) {
      if (known.has(other.publicKey) || this.#told.length >= MOST_PEERS) continue
      if (teller !== undefined && !isMeaningfulTo(other.host, teller)) continue
      this.#told.push(other)
    }
    this.#dial()
  }

  [Symbol.dispose](): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
    this.#told.length = 0
  }

  #ask(peer: Acquaintance): void {
    const manners = this.#acquaintances.get(peer)
    if (manners === undefined) return
    manners.isAsked = true
    peer.ask()
  }

  #lacksPeers(): boolean {
    return (
      this.#options.node.exchanges &&
      this.#acquaintances.size > 0 &&
      this.#options.wantsBlocks() &&
      this.#options.connected().size < ENOUGH_PEERS
    )
  }

  #dial(): void {
    while (this.#dials < MOST_DIALS && this.#lacksPeers()) {
      const peer = this.#told.shift()
      if (peer === undefined) return
      if (this.#isWorthDialing(peer.publicKey)) void this.#dialOne(peer)
    }
  }

  async #dialOne(peer: KnownPeer): Promise<void> {
    this.#dials++
    try {
      // Also one that answers: until it shows up as a peer of the image's log, nothing else tells that it is connected.
      this.#rest(peer.publicKey)
      await this.#options.node.dialKnown(peer)
    } finally {
      this.#dials--
      if (!this.#isClosed) this.#dial()
    }
  }

  #isWorthDialing(publicKey: string): boolean {
    const { node, connected } = this.#options
    if (publicKey === node.publicKey.toString('hex') || connected().has(publicKey)) return false
    return (this.#restingUntil.get(publicKey) ?? 0) < performance.now()
  }

  #rest(publicKey: string): void {
    putYoungest(this.#restingUntil, publicKey, performance.now() + REST_MS, MOST_RESTING)
  }
}

function keyOf({ remotePublicKey }: SwarmConnection): string {
  return remotePublicKey.toString('hex')
}

/** The IP address of the other end. */
function hostOf({ rawStream }: SwarmConnection): string | undefined {
  const told = rawStream.remoteHost ?? rawStream.remoteAddress
  const host = told?.replace(/^::ffff:(?=[\d.]+$)/i, '')
  return host !== undefined && isIP(host) !== 0 ? host : undefined
}
