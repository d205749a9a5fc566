const LOOK_MS = 10_000
/** What is less, in one such time, may be what keeps a connection alive. */
const LEAST_BYTES = 1_024
/** A peer that has neither asked nor answered anything for this time makes room for others. */
const IDLE_MS = 60_000
/** How many of the eight groups of an IPv6 address are the network of one customer. */
const IPV6_NETWORK_GROUPS = 4

export interface SlotLimits {
  /** Peers in all. @default none */
  readonly most?: number
  /** Strangers in all. */
  readonly mostStrangers: number
  /** Strangers that come from one address. */
  readonly mostStrangersAnAddress: number
  /** A peer that is a stranger for longer is sent away. */
  readonly strangerMs: number
}

/** What strangers get, of each kind of connection; over loopback a peer is one for milliseconds, over a satellite for seconds. */
export const STRANGER_LIMITS = {
  mostStrangers: 64,
  mostStrangersAnAddress: 16,
  strangerMs: 15_000
} as const

/** A peer that wants a place. It is a stranger until it has shown to know the key of something that is held here. */
export interface Peer {
  /** IP address that it comes from. */
  readonly address: string
  isStranger(): boolean
  /** Bytes that it has sent and got; asked for now and then. */
  traffic(): number
  /** Ends its connection, for it must make room or has been a stranger for too long. */
  sendAway(): void
}

interface Taken {
  readonly peer: Peer
  readonly network: string
  readonly timer: NodeJS.Timeout
  traffic: number
  activeAt: number
}

/**
 * The places for peers that come by themselves. Anybody can make a key pair, so what a peer is given before it has shown
 * to know an image is little and for a short time; and newcomers go before those that wait: a peer that knows an image
 * shows it in a round trip or two, and outlasts a crowd of peers that know none.
 */
export class ConnectionSlots implements Disposable {
  readonly #limits: SlotLimits
  /** In the order in which they came. */
  readonly #taken = new Set<Taken>()
  readonly #timer: NodeJS.Timeout

  constructor(limits: SlotLimits) {
    this.#limits = limits
    this.#timer = setInterval(() => this.#look(), LOOK_MS).unref()
  }

  /**
   * Gives a peer a place, for which another may have to go.
   *
   * @returns gives the place back; undefined where all are in use
   */
  take(peer: Peer): (() => void) | undefined {
    const network = networkOf(peer.address)
    this.#makeRoomForStranger(network)
    const { most = Infinity, strangerMs } = this.#limits
    if (this.#taken.size >= most && !this.#makeRoom()) return undefined
    const timer = setTimeout(() => {
      if (peer.isStranger()) this.#sendAway(taken)
    }, strangerMs).unref()
    const taken: Taken = { peer, network, timer, traffic: 0, activeAt: performance.now() }
    this.#taken.add(taken)
    return () => this.#leave(taken)
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
    for (const taken of this.#taken) clearTimeout(taken.timer)
  }

  #makeRoomForStranger(network: string): void {
    const { mostStrangers, mostStrangersAnAddress } = this.#limits
    const strangers = [...this.#taken].filter(({ peer }) => peer.isStranger())
    const neighbours = strangers.filter((each) => each.network === network)
    const [oldest] = neighbours.length >= mostStrangersAnAddress ? neighbours : []
    if (oldest) this.#sendAway(oldest)
    else if (strangers.length >= mostStrangers) this.#sendAway(oldestOfMost(strangers))
  }

  /** @returns whether somebody had to go */
  #makeRoom(): boolean {
    const all = [...this.#taken]
    const strangers = all.filter(({ peer }) => peer.isStranger())
    const now = performance.now()
    const idle = all.filter(({ activeAt }) => now - activeAt > IDLE_MS)
    const leaver = oldestOfMost(strangers) ?? oldestOfMost(idle)
    this.#sendAway(leaver)
    return leaver !== undefined
  }

  #sendAway(taken: Taken | undefined): void {
    if (taken === undefined || !this.#taken.has(taken)) return
    this.#leave(taken)
    taken.peer.sendAway()
  }

  #leave(taken: Taken): void {
    clearTimeout(taken.timer)
    this.#taken.delete(taken)
  }

  #look(): void {
    for (const taken of this.#taken) {
      const traffic = taken.peer.traffic()
      if (traffic - taken.traffic > LEAST_BYTES) taken.activeAt = performance.now()
      taken.traffic = traffic
    }
  }
}

/** The one that came first, of the network that most of them come from. */
function oldestOfMost(peers: readonly Taken[]): Taken | undefined {
  const byNetwork = new Map<string, Taken[]>()
  for (const each of peers) {
    const neighbours = byNetwork.get(each.network)
    if (neighbours) neighbours.push(each)
    else byNetwork.set(each.network, [each])
  }
  const [most] = [...byNetwork.values()].toSorted((a, b) => b.length - a.length)
  return most?.[0]
}

/** What one owner surely has: an IPv4 address, or the upper half of an IPv6 one. */
function networkOf(address: string): string {
  const ipv4 = /^(?:::ffff:)?(?<ipv4>[\d.]+)$/i.exec(address)?.groups?.['ipv4']
  if (ipv4 !== undefined) return ipv4
  const [head = [], tail] = address.split('::').map((part) => part.split(':'))
  const zeros = tail ? IPV6_NETWORK_GROUPS * 2 - head.length - tail.length : 0
  const groups = [...head, ...Array.from({ length: zeros }, () => '0'), ...(tail ?? [])]
  return groups.slice(0, IPV6_NETWORK_GROUPS).join(':')
}
