import c from 'compact-encoding'
import type { SwarmConnection } from 'hyperswarm'
import Protomux, { type Channel } from 'protomux'

/** As blind-peer 3 has it (`@blind-peer/cores` of blind-peer-muxer 1). */
const PROTOCOL = 'blind-peer'
/** Fields that a request has, as bits: 1 and 2 would be a referrer and a priority. */
const ANNOUNCE = 4
const KEY_BYTES = 32

/** A log that a blind peer is to keep. */
export interface EntrustedLog {
  readonly key: Buffer
  readonly length: number
}

export interface EntrustedLogs {
  /** The one by which peers find the others: the blind peer is asked to announce it in the DHT. */
  readonly announced: EntrustedLog
  readonly others: readonly EntrustedLog[]
}

/** The part of hyperswarm that is needed. */
export interface PeerJoiner {
  joinPeer(publicKey: Buffer): void
  leavePeer(publicKey: Buffer): void
}

/**
 * Asks blind peers (https://github.com/holepunchto/blind-peer) to keep logs: connects to each for as long as something is
 * asked of it, and says on each connection what. A blind peer fetches by the store's replication, over the same connection.
 */
export class BlindPeers {
  readonly #swarm: PeerJoiner
  /** What is asked of each, by its public key in hex. */
  readonly #asked = new Map<string, Set<EntrustedLogs>>()
  readonly #channels = new Map<string, Channel>()

  constructor(swarm: PeerJoiner) {
    this.#swarm = swarm
  }

  /**
   * Asks a blind peer to keep logs, now and whenever it is connected again.
   *
   * @returns ends that; the blind peer keeps what it has
   */
  ask(publicKey: Buffer, logs: EntrustedLogs): () => void {
    const id = publicKey.toString('hex')
    const asked = this.#asked.get(id) ?? new Set()
    this.#asked.set(id, asked.add(logs))
    const channel = this.#channels.get(id)
    if (channel) tell(channel, logs)
    this.#swarm.joinPeer(publicKey)
    return () => {
      asked.delete(logs)
      if (asked.size > 0 || this.#asked.get(id) !== asked) return
      this.#asked.delete(id)
      this.#channels.get(id)?.close()
      this.#swarm.leavePeer(publicKey)
    }
  }

  /** Tells a peer that is connected what is asked of it, once the store is replicated over the connection. */
  add(connection: SwarmConnection): void {
    const id = connection.remotePublicKey.toString('hex')
    if (!this.#asked.has(id) || this.#channels.has(id)) return
    const channel = Protomux.from(connection).createChannel({
      protocol: PROTOCOL,
      messages: [{ onmessage: () => {} }],
      onclose: () => {
        if (this.#channels.get(id) === channel) this.#channels.delete(id)
      }
    })
    if (channel === null) return
    this.#channels.set(id, channel)
    channel.open()
    for (const logs of this.#asked.get(id) ?? []) tell(channel, logs)
  }
}

function tell({ messages: [message] }: Channel, { announced, others }: EntrustedLogs): void {
  message?.send(encodeRequest([announced], true))
  if (others.length > 0) message?.send(encodeRequest(others, false))
}

/** The message that asks to keep logs. */
export function encodeRequest(logs: readonly EntrustedLog[], announces: boolean): Buffer {
  const keys = logs.map(({ key, length }) => Buffer.concat([key, c.encode(c.uint, length)]))
  for (const { key } of logs) {
    if (key.length !== KEY_BYTES) throw new TypeError('not the key of a log')
  }
  return Buffer.concat([
    Buffer.of(announces ? ANNOUNCE : 0),
    c.encode(c.uint, logs.length),
    ...keys
  ])
}
