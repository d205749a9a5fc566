import type { PeerDiscovery } from 'hyperswarm'
import { formatPeerAddress, type PeerAddress } from '../peer-address.ts'
import type { KnownPeer } from './known-peers.ts'
import type { PeerNode } from './peer-node.ts'
import { pause, untilAborted } from '../../core/abort.ts'

/** How often the DHT is asked again while peers are wanted; the last one as long as that is so. */
const LOOK_UP_PAUSES_MS = [500, 1_000, 2_000, 5_000]
/** Where peers are connected, and lack blocks: another one that has them is found late rather than never. */
const SHORT_PAUSES_MS = [...LOOK_UP_PAUSES_MS, 10_000, 30_000]
/** Where blocks come, and more peers would bring them sooner. Peers tell of each other, so this is for those that cannot. */
const FEW_PAUSES_MS = [1_000, 3_000, 10_000, 30_000, 60_000]
/** The same where nobody waits. */
const IDLE_LOOK_UP_MS = 60_000
/** How often local networks are asked while peers are wanted; the last one as long as that is so. */
const LAN_PAUSES_MS = [300, 700, 1_000, 2_000, 5_000, 10_000, 30_000]
/** After peers were wanted no more, the networks are asked again no sooner than this. */
const LAN_AGAIN_MS = 1_000
const PAUSES_MS = { blocks: SHORT_PAUSES_MS, others: FEW_PAUSES_MS }
/** How often peers whose address is known are dialed: one that is being started again answers soon, or is not there. */
const DIAL_PAUSES_MS = [100, 200]
const DIAL_OFTEN_MS = 10_000
const DIAL_SELDOM_MS = 2_000
/** With nobody wanted, who is connected is noted this often. */
const NOTE_MS = 500
/**
 * The same where nobody has read or fetched for some such looks: with hundreds of images, each look costs.
 * {@link PeerSearch.wake} ends it.
 */
const IDLE_NOTE_MS = 120_000
const LOOKS_BEFORE_IDLE = 8

/** What peers are wanted for: `now` somebody waits, `later` nobody does. */
export interface PeerWants {
  readonly urgency: 'now' | 'later' | 'nothing'
  /** What the peers that are connected lack: `blocks` that are missing here, or only `others` to share the work with. */
  readonly lacks?: 'blocks' | 'others' | undefined
  /** Nothing is wanted until {@link PeerSearch.wake}. @default false */
  readonly isIdle?: boolean
}

export interface PeerSearchOptions {
  readonly node: PeerNode
  /** Discovery of the drive's topic. */
  readonly discovery: PeerDiscovery
  readonly key: Buffer
  readonly wants: () => PeerWants
  /** Public keys of the peers that have the drive and are connected. */
  readonly connected: () => readonly Buffer[]
  /** One is connected that was dialed. */
  readonly onFound: () => void
  readonly signal: AbortSignal
}

/**
 * Looks for peers of a drive for as long as they are wanted: at addresses that its link named, at those where its peers
 * were reached before, on local networks, and in the DHT, side by side.
 */
export class PeerSearch {
  /** When both loops have ended, after the signal. */
  readonly ended: Promise<unknown>
  readonly #options: PeerSearchOptions
  readonly #named = new Map<string, PeerAddress>()
  #known: readonly KnownPeer[] = []
  #announces = false
  readonly #resting = new Set<() => void>()
  #lanRound = 0
  /** When local networks are to be asked again, by `performance.now`. */
  #lanNextMs = 0

  constructor(options: PeerSearchOptions) {
    this.#options = options
    this.ended = Promise.all([this.#dialing(), this.#lookingUp()])
  }

  /** From now on, the DHT is told of this machine, too. */
  announce(): void {
    this.#announces = true
  }

  /** Something may be wanted now, or another peer has come or gone. */
  wake(): void {
    for (const wake of [...this.#resting]) wake()
  }

  /** Addresses of a link; dialed now, and whenever peers are wanted. */
  addNamed(peers: readonly PeerAddress[]): void {
    for (const peer of peers) this.#named.set(formatPeerAddress(peer), peer)
    this.#dialNamed()
  }

  /** What is dialed without the DHT. */
  get dialed(): { readonly named: readonly PeerAddress[]; readonly known: readonly KnownPeer[] } {
    return { named: [...this.#named.values()], known: this.#known }
  }

  async #dialing(): Promise<void> {
    const { node, key, wants, connected, signal } = this.#options
    const endLooking = node.lan?.look(key, (peer) => void this.#noteFound(node.dialKnown(peer)))
    this.#known = (await node.knownPeers?.read(key)) ?? []
    this.#dialKnown()
    let since: number | undefined
    let idleLooks = 0
    for (let round = 0; !signal.aborted; round++) {
      const { urgency, lacks, isIdle } = wants()
      this.#askLan(urgency)
      if (urgency === 'now' && lacks !== 'others') {
        since ??= performance.now()
        this.#dialKnown()
        for (const publicKey of connected()) node.probe(publicKey)
        const isNew = performance.now() - since < DIAL_OFTEN_MS
        const often = DIAL_PAUSES_MS[Math.min(round, DIAL_PAUSES_MS.length - 1)] ?? 0
        await pause(isNew ? often : DIAL_SELDOM_MS, signal)
      } else {
        since = undefined
        round = -1
        await this.#note()
        if (!isIdle) idleLooks = 0
        // Peers tell a while after they were connected where they listen.
        if (idleLooks++ < LOOKS_BEFORE_IDLE) await pause(NOTE_MS, signal)
        else if (await this.#rest()) idleLooks = 0
      }
    }
    endLooking?.()
  }

  /** Looks sooner than hyperswarm, which looks again every ten minutes: somebody waits. */
  async #lookingUp(): Promise<void> {
    const { discovery, wants, signal } = this.#options
    let last = performance.now()
    for (let round = 0; !signal.aborted; round++) {
      const { lacks, isIdle } = wants()
      if (isIdle) await this.#rest()
      const pauses = lacks === undefined ? LOOK_UP_PAUSES_MS : PAUSES_MS[lacks]
      await pause(pauses[Math.min(round, pauses.length - 1)] ?? 0, signal)
      const { urgency } = wants()
      if (urgency === 'nothing') round = -1
      else if (
        !signal.aborted &&
        (urgency === 'now' || performance.now() - last > IDLE_LOOK_UP_MS)
      ) {
        last = performance.now()
        this.#dialNamed()
        this.#dialKnown()
        const refreshed = discovery.refresh({ client: true, server: this.#announces })
        // The DHT may take minutes for hundreds of images, and nobody who ends a daemon is to wait for it.
        await untilAborted(refreshed, signal).catch(() => {})
      }
    }
  }

  /** @returns whether it was woken */
  async #rest(): Promise<boolean> {
    const { signal } = this.#options
    const rest = new AbortController()
    const wake = (): void => rest.abort()
    this.#resting.add(wake)
    await pause(IDLE_NOTE_MS, AbortSignal.any([rest.signal, signal]))
    this.#resting.delete(wake)
    return rest.signal.aborted
  }

  /** Asks local networks, the longer peers are wanted the more seldom. */
  #askLan(urgency: PeerWants['urgency']): void {
    const now = performance.now()
    if (urgency === 'nothing') {
      this.#lanRound = 0
      this.#lanNextMs = Math.min(this.#lanNextMs, now + LAN_AGAIN_MS)
    } else if (now >= this.#lanNextMs) {
      this.#options.node.lan?.ask(this.#options.key)
      const round = Math.min(this.#lanRound++, LAN_PAUSES_MS.length - 1)
      this.#lanNextMs = now + (LAN_PAUSES_MS[round] ?? 0)
    }
  }

  #dialNamed(): void {
    const { node } = this.#options
    for (const peer of this.#named.values()) void this.#noteFound(node.dial(peer))
  }

  #dialKnown(): void {
    const { node } = this.#options
    for (const peer of this.#known) void this.#noteFound(node.dialKnown(peer))
  }

  async #noteFound(dialing: Promise<boolean>): Promise<void> {
    if (await dialing) this.#options.onFound()
  }

  async #note(): Promise<void> {
    const { node, key, connected } = this.#options
    if (node.knownPeers === undefined) return
    // With one peer there may be two connections.
    const now = new Set(connected().flatMap((publicKey) => node.addressOf(publicKey) ?? []))
    // It is no loss but of time.
    this.#known = await node.knownPeers.note(key, [...now], this.#known).catch(() => this.#known)
  }
}
