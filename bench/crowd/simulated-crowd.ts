import {
  BlockChoice,
  type BlockPool,
  type Holder,
  type WantedBlock
} from '../../src/p2p/crowd/block-choice.ts'
import { shuffled } from '../../src/core/shuffled.ts'
import { randomNumbers } from '../random-numbers.ts'
import { EventQueue } from './event-queue.ts'

/** What a simulated crowd is like. Rates in bits a second, times in milliseconds. */
export interface CrowdSetup {
  readonly readers: number
  readonly blocks: number
  readonly blockBytes: number
  /** What the publisher can send. */
  readonly uploadBits: number
  /** What each reader can send, and what it can receive. */
  readonly readerBits: number
  readonly roundTripMs: number
  /** All readers begin within this time. */
  readonly joinMs: number
  /** Peers that a reader connects to by itself, when it joins; others connect to it. */
  readonly dials: number
  /** Connections that a peer has at most. */
  readonly mostConnections: number
  /** `pull`: blocks in any order. `boot`: in the order of a profile, each read as soon as it may be. */
  readonly way: 'pull' | 'boot'
  readonly seed: number
}

export interface CrowdResult {
  /** When each reader had all, after it began. */
  readonly doneMs: readonly number[]
  readonly publisherBlocks: number
  /** Connections of a reader: mean and most. */
  readonly connections: { readonly mean: number; readonly most: number }
  /** Messages about blocks that a reader gets: that a peer has one, or is sending one. */
  readonly noticesPerReader: number
  readonly events: number
}

/** As many as a reader keeps requested at most, over all peers (`BlockFetcher`). */
const MOST_REQUESTED = 64
/** As many before a reader knows that the publisher serves others. */
const FIRST_REQUESTED = 8
/** As many a container's start has requested ahead at once, in order (`REPLAY_WINDOW`). */
const REQUESTED_AHEAD = 96
/** For how long a read waits for a block that was requested ahead before it is urgent (`BlockReads`). */
const ON_ITS_WAY_MS = 250
/** When an urgent block is late, and others are asked for it (`Hedging`). */
const LATE_MS = 500
/** Newcomers are told of requests that are no older (`SendingNotices`). */
const RECENT_MS = 15_000
/** So many peers are asked for one block at once (hypercore's hotswaps). */
const MOST_ASKED = 3
/** How often a reader looks again when nothing could be requested. */
const RECHECK_MS = 100
/** Share of an uplink's bytes that are overhead: TCP, Noise and proofs. */
const OVERHEAD = 1.06

/**
 * Runs {@link BlockChoice} for many readers over simulated links: discrete events, no clock, no network. A link serves the
 * connections that wait for it in turn, one block at a time; a message takes half a round trip.
 */
export function simulateCrowd(setup: CrowdSetup): CrowdResult {
  return new Simulation(setup).run()
}

class SimulatedPeer {
  readonly id: string
  readonly isPublisher: boolean
  readonly uploadBits: number
  readonly downloadBits: number
  readonly choice: BlockChoice
  readonly arrivedMs: Float64Array
  readonly peers = new Map<SimulatedPeer, Connection>()
  /** Requested blocks that wait for the uplink, by who requested them, and messages behind them; the next one first. */
  readonly waiting = new Map<SimulatedPeer, (number | Message)[]>()
  /** Blocks that were requested and have not come. */
  readonly requested = new Map<number, Requests>()
  readonly left: Pool
  /** In a start: the next block that is requested ahead, those that no peer may be asked for yet, and the one that is read. */
  nextAhead = 0
  readonly ahead = new Set<number>()
  reading = 0
  readingSinceMs = 0
  /** Requests that it has got as a peer with all blocks. */
  readonly sent: {
    readonly receiver: SimulatedPeer
    readonly block: number
    readonly atMs: number
  }[] = []
  isUploading = false
  downFreeMs = 0
  held: number
  joinedMs = 0
  doneMs = Infinity
  notices = 0
  recheckMs = -Infinity

  constructor(id: string, setup: CrowdSetup, random: () => number, isPublisher: boolean) {
    const { blocks, readerBits, uploadBits } = setup
    this.id = id
    this.isPublisher = isPublisher
    this.uploadBits = isPublisher ? uploadBits : readerBits
    this.downloadBits = readerBits
    this.arrivedMs = new Float64Array(blocks).fill(isPublisher ? -Infinity : Infinity)
    this.left = new Pool(isPublisher ? 0 : blocks)
    this.held = isPublisher ? blocks : 0
    this.choice = new BlockChoice(id, () => [...this.peers.values()], random)
  }
}

/** Has its receiver hear of something. */
type Message = () => void

interface Requests {
  /** When the last one was made. */
  readonly askedMs: number
  readonly from: readonly Connection[]
}

/** What one peer knows of another. */
class Connection implements Holder {
  readonly id: string
  readonly peer: SimulatedPeer
  readonly #setup: CrowdSetup
  readonly #clock: { readonly nowMs: number }
  inFlight = 0

  constructor(peer: SimulatedPeer, setup: CrowdSetup, clock: { readonly nowMs: number }) {
    this.id = peer.id
    this.peer = peer
    this.#setup = setup
    this.#clock = clock
  }

  has(block: number): boolean {
    const toldMs = (this.peer.arrivedMs[block] ?? Infinity) + this.#setup.roundTripMs / 2
    return toldMs <= this.#clock.nowMs
  }

  get isWhole(): boolean {
    return this.peer.held === this.#setup.blocks
  }
}

class Pool implements BlockPool {
  readonly #blocks: number[]
  readonly #place: Int32Array

  constructor(blocks: number) {
    this.#blocks = Array.from({ length: blocks }, (_, n) => n)
    this.#place = Int32Array.from(this.#blocks)
  }

  at(random: number): number | undefined {
    return this.#blocks[Math.floor(random * this.#blocks.length)]
  }

  remove(block: number): void {
    const place = this.#place[block] ?? -1
    if (place < 0) return
    const last = this.#blocks.pop() ?? 0
    if (last !== block) {
      this.#blocks[place] = last
      this.#place[last] = place
    }
    this.#place[block] = -1
  }
}

class Simulation {
  nowMs = 0
  readonly #setup: CrowdSetup
  readonly #events = new EventQueue()
  readonly #random: () => number
  readonly #publisher: SimulatedPeer
  readonly #readers: SimulatedPeer[] = []
  #publisherBlocks = 0
  #eventCount = 0
  #done = 0

  constructor(setup: CrowdSetup) {
    this.#setup = setup
    this.#random = randomNumbers(setup.seed)
    this.#publisher = new SimulatedPeer('f'.repeat(16), setup, this.#random, true)
  }

  run(): CrowdResult {
    const { readers, joinMs, roundTripMs } = this.#setup
    for (let n = 0; n < readers; n++) {
      const id = (Math.imul(n + 1, 0x9e3779b1) >>> 0).toString(16).padStart(8, '0').repeat(2)
      const reader = new SimulatedPeer(id, this.#setup, this.#random, false)
      this.#readers.push(reader)
      reader.joinedMs = (joinMs * n) / readers
      // Finding and shaking hands with the first peers, as measured: some four round trips.
      this.#events.add(reader.joinedMs + 4 * roundTripMs, () => this.#join(reader, n))
    }
    for (;;) {
      const event = this.#events.next()
      if (event === undefined || this.#done === readers) break
      this.nowMs = event.atMs
      this.#eventCount++
      event.run()
    }
    const connections = this.#readers.map(({ peers }) => peers.size)
    return {
      doneMs: this.#readers.map(({ doneMs, joinedMs }) => doneMs - joinedMs),
      publisherBlocks: this.#publisherBlocks,
      connections: {
        mean: connections.reduce((a, b) => a + b, 0) / readers,
        most: connections.reduce((a, b) => Math.max(a, b), 0)
      },
      noticesPerReader: this.#readers.reduce((sum, { notices }) => sum + notices, 0) / readers,
      events: this.#eventCount
    }
  }

  #join(reader: SimulatedPeer, place: number): void {
    const { dials, mostConnections } = this.#setup
    if (this.#publisher.peers.size < mostConnections) this.#connect(reader, this.#publisher)
    // Those that came before, who are announced.
    for (let n = 0; n < 3 * dials && reader.peers.size < dials; n++) {
      const other = this.#readers[Math.floor(this.#random() * place)]
      if (other && other !== reader && other.peers.size < mostConnections)
        this.#connect(reader, other)
    }
    this.#requestMore(reader)
  }

  #connect(one: SimulatedPeer, other: SimulatedPeer): void {
    if (one.peers.has(other)) return
    one.peers.set(other, new Connection(other, this.#setup, this))
    other.peers.set(one, new Connection(one, this.#setup, this))
    for (const { receiver, block, atMs } of other.sent) {
      // Newcomers are told of what was sent before (`SendingNotices`).
      if (receiver === one || this.nowMs - atMs > RECENT_MS) continue
      one.notices++
      one.choice.noteSending(other.id, receiver.id, [block], this.nowMs)
    }
  }

  #requestMore(reader: SimulatedPeer): void {
    if (reader.isPublisher || reader.held === this.#setup.blocks) return
    if (this.#setup.way === 'boot') return this.#requestAhead(reader)
    const most = reader.choice.hasShared(this.nowMs) ? MOST_REQUESTED : FIRST_REQUESTED
    while (reader.requested.size < most) {
      const block = reader.choice.pick(reader.left, this.nowMs)
      const from =
        block === undefined ? undefined : this.#holderFor(reader, { block, isUrgent: false })
      if (block === undefined || from === undefined) {
        this.#recheck(reader)
        return
      }
      reader.left.remove(block)
      this.#request(reader, from, block)
    }
  }

  #recheck(reader: SimulatedPeer): void {
    if (reader.recheckMs > this.nowMs) return
    reader.recheckMs = this.nowMs + RECHECK_MS
    this.#events.add(reader.recheckMs, () => this.#requestMore(reader))
  }

  #request(reader: SimulatedPeer, from: Connection, block: number): void {
    const earlier = reader.requested.get(block)?.from ?? []
    reader.requested.set(block, { askedMs: this.nowMs, from: [...earlier, from] })
    from.inFlight++
    this.#events.add(this.nowMs + this.#setup.roundTripMs / 2, () =>
      this.#asked(from.peer, reader, block)
    )
  }

  #requestAhead(reader: SimulatedPeer): void {
    const { blocks } = this.#setup
    while (reader.nextAhead < blocks && reader.ahead.size + reader.requested.size < REQUESTED_AHEAD)
      reader.ahead.add(reader.nextAhead++)
    while (reader.arrivedMs[reader.reading] !== Infinity && reader.reading < blocks) {
      reader.reading++
      reader.readingSinceMs = this.nowMs
    }
    const isUrgent = this.nowMs - reader.readingSinceMs >= ON_ITS_WAY_MS
    const asked = reader.requested.get(reader.reading)
    const isLate = asked !== undefined && this.nowMs - asked.askedMs > LATE_MS
    if (isUrgent && isLate && asked.from.length < MOST_ASKED) {
      const wanted = { block: reader.reading, isUrgent, askedMs: asked.askedMs }
      const from = this.#holderFor(reader, wanted, asked.from)
      if (from) this.#request(reader, from, reader.reading)
    }
    // hypercore takes those that are queued in random order.
    for (const block of shuffled([...reader.ahead], this.#random)) {
      const wanted = { block, isUrgent: isUrgent && block === reader.reading }
      const from = this.#holderFor(reader, wanted)
      if (from === undefined) continue
      reader.ahead.delete(block)
      this.#request(reader, from, block)
    }
    this.#recheck(reader)
  }

  /** One at random of those that may be asked, as hypercore does it. */
  #holderFor(
    reader: SimulatedPeer,
    wanted: WantedBlock,
    asked: readonly Connection[] = []
  ): Connection | undefined {
    const { block, isUrgent } = wanted
    const able = [...reader.peers.values()].filter(
      (each) =>
        each.has(block) &&
        !asked.includes(each) &&
        each.inFlight < reader.choice.window(each.id, isUrgent, this.nowMs) &&
        reader.choice.mayAsk(each, wanted, this.nowMs)
    )
    return able[Math.floor(this.#random() * able.length)]
  }

  #asked(sender: SimulatedPeer, receiver: SimulatedPeer, block: number): void {
    const queue = sender.waiting.get(receiver)
    if (queue) queue.push(block)
    else sender.waiting.set(receiver, [block])
    this.#notify(sender, receiver, block)
    this.#upload(sender)
  }

  /** Tells the others that a block is on its way, as `Crowd` does. */
  #notify(sender: SimulatedPeer, receiver: SimulatedPeer, block: number): void {
    sender.choice.noteRequest(receiver.id, this.nowMs)
    if (sender.held < this.#setup.blocks) return
    sender.sent.push({ receiver, block, atMs: this.nowMs })
    for (const other of sender.peers.keys()) {
      if (other === receiver || other.held === this.#setup.blocks) continue
      other.notices++
      const hear = (): void => other.choice.noteSending(sender.id, receiver.id, [block], this.nowMs)
      const before = sender.waiting.get(other)
      if (before) before.push(hear)
      else this.#events.add(this.nowMs + this.#setup.roundTripMs / 2, hear)
    }
  }

  #upload(sender: SimulatedPeer): void {
    if (sender.isUploading) return
    const first = sender.waiting.entries().next()
    if (first.done) return
    const [receiver, blocks] = first.value
    const block = Number(blocks.shift())
    const behind: Message[] = []
    while (typeof blocks[0] === 'function') behind.push(blocks.shift() as Message)
    // The next one in turn.
    sender.waiting.delete(receiver)
    if (blocks.length > 0) sender.waiting.set(receiver, blocks)
    const bits = this.#setup.blockBytes * 8 * OVERHEAD
    sender.isUploading = true
    if (sender.isPublisher) this.#publisherBlocks++
    this.#events.add(this.nowMs + (bits / sender.uploadBits) * 1_000, () => {
      sender.isUploading = false
      const from = Math.max(this.nowMs + this.#setup.roundTripMs / 2, receiver.downFreeMs)
      receiver.downFreeMs = from + (bits / receiver.downloadBits) * 1_000
      this.#events.add(receiver.downFreeMs, () => {
        for (const hear of behind) hear()
        this.#arrive(sender, receiver, block)
      })
      this.#upload(sender)
    })
  }

  #arrive(sender: SimulatedPeer, reader: SimulatedPeer, block: number): void {
    const askedMs = reader.requested.get(block)?.askedMs
    const connection = reader.peers.get(sender)
    if (connection) connection.inFlight--
    if ((reader.arrivedMs[block] ?? 0) !== Infinity) return
    reader.requested.delete(block)
    reader.arrivedMs[block] = this.nowMs
    reader.held++
    reader.choice.noteArrival(sender.id, block, this.nowMs - (askedMs ?? this.nowMs), this.nowMs)
    // Each peer that lacks something hears of it.
    for (const other of reader.peers.keys()) if (other.held < this.#setup.blocks) other.notices++
    if (reader.held === this.#setup.blocks) {
      reader.doneMs = this.nowMs
      this.#done++
      return
    }
    this.#requestMore(reader)
  }
}
