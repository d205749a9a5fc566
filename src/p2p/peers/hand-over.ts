import type { SwarmConnection } from 'hyperswarm'
import { limitRequests, requestsUnderWay } from './request-limits.ts'
import type { DirectAddress } from './direct-address.ts'

const LOOK_MS = 100
/**
 * TCP begins with some 14 kB a round trip and doubles, when the swarm's connection has long been doing more.
 * Until it has carried this much, both are asked, and it for no more blocks than it has shown to carry.
 */
const WARM_BYTES = 512 * 1024
const COLD_BLOCKS = 2
const BLOCK_BYTES = 32 * 1024
/** What is less may be what keeps a connection alive. */
const LEAST_BLOCK_BYTES = 512
/**
 * A path may let a handshake through and no full packet, which is why a connection must have carried something before
 * it is relied on. Where nothing comes, while the swarm's connection works, it is given up.
 */
const STUCK_LOOKS = 30
const CLOSE_MS = 5_000

export interface HandOverOptions {
  readonly swarm: SwarmConnection
  readonly direct: SwarmConnection
  /** Address of the swarm's connection. */
  readonly address: DirectAddress
}

/**
 * Moves what a peer is asked for from a connection of the swarm that is in use to a direct one, and closes the
 * former when both sides have got what they had asked for over it. Ends with either connection;
 * while the direct one is gone, the other is asked as if there had been none.
 */
export class HandOver {
  readonly #options: HandOverOptions
  readonly #lift: readonly (() => void)[]
  #timer: NodeJS.Timeout | undefined
  readonly #firstBytes: number
  #silentLooks = 0
  #hasEnded = false
  /** What either had received when something last came over the direct one. */
  #lastBlock: { readonly swarm: number; readonly direct: number }

  private constructor(options: HandOverOptions) {
    const { swarm, direct } = options
    this.#options = options
    this.#firstBytes = carried(direct)
    this.#lastBlock = this.#received()
    this.#lift = [
      limitRequests(swarm, () => {
        this.#lookOn()
        return this.#isWarm && !direct.destroying ? 0 : Infinity
      }),
      limitRequests(direct, () => {
        this.#lookOn()
        return this.#isWarm ? Infinity : this.#share()
      })
    ]
    options.address.onRemoteDone = () => this.#lookOn()
    this.#lookOn()
    for (const connection of [swarm, direct]) connection.once('close', () => this.#end())
  }

  /** Begins when the direct connection is there, before it is replicated over. */
  static begin(options: HandOverOptions): HandOver {
    return new HandOver(options)
  }

  /**
   * Looks from time to time, as long as this side asks for something, or the peer waits for it to be done. One that only
   * gives hears of the peer's end.
   */
  #lookOn(): void {
    if (!this.#hasEnded) this.#timer ??= setInterval(() => this.#look(), LOOK_MS).unref()
  }

  #rest(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  #end(): void {
    this.#hasEnded = true
    this.#rest()
    for (const lift of this.#lift) lift()
  }

  #look(): void {
    const { swarm, direct, address } = this.#options
    if (!this.#isWarm) {
      if (this.#isStuck()) direct.destroy()
      // A peer that is done has seen more come over the direct one than this side has, for a moment.
      else if (!address.isRemoteDone && !this.#isAsking()) this.#rest()
      return
    }
    if (requestsUnderWay(swarm) > 0) return
    address.tellDone()
    if (!address.isRemoteDone) return this.#rest()
    // What is to be told is told before; hyperswarm connects anew, for when the direct one ends.
    this.#hasEnded = true
    this.#rest()
    swarm.end()
    setTimeout(() => swarm.destroy(), CLOSE_MS).unref()
  }

  #isAsking(): boolean {
    const { swarm, direct } = this.#options
    return requestsUnderWay(swarm) + requestsUnderWay(direct) > 0
  }

  get #carried(): number {
    return carried(this.#options.direct) - this.#firstBytes
  }

  get #isWarm(): boolean {
    return this.#carried >= WARM_BYTES
  }

  #share(): number {
    return COLD_BLOCKS + Math.floor(this.#carried / BLOCK_BYTES)
  }

  /** Whether what was asked for here has not come for long, while much came over the swarm's connection. */
  #isStuck(): boolean {
    const now = this.#received()
    const { direct, swarm } = this.#lastBlock
    if (requestsUnderWay(this.#options.direct) === 0 || now.direct - direct > LEAST_BLOCK_BYTES) {
      this.#lastBlock = now
      this.#silentLooks = 0
      return false
    }
    return ++this.#silentLooks > STUCK_LOOKS && now.swarm - swarm > WARM_BYTES
  }

  #received(): { swarm: number; direct: number } {
    const { swarm, direct } = this.#options
    return { swarm: swarm.rawBytesRead, direct: direct.rawBytesRead }
  }
}

function carried(connection: SwarmConnection): number {
  return connection.rawBytesRead + connection.rawBytesWritten
}
