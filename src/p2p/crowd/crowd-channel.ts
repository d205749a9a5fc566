import c, { type Encoding } from 'compact-encoding'
import Protomux from 'protomux'
import type { SwarmConnection } from 'hyperswarm'
import type { KnownPeer } from '../peers/known-peers.ts'
import { peerList, sendingList, type Sending } from './crowd-messages.ts'

/** A change of the messages that older peers could not ignore takes another name. */
const PROTOCOL = 'dat-container/crowd/1'
/** A longer message is ignored. */
const MOST_BYTES = 64 * 1024

/** What the peer at the other end tells. What cannot be read is ignored: it may come from a later version. */
export interface CrowdEvents {
  /** Both sides take part; what was told before is lost. */
  onOpen(): void
  /** The TCP port at which it listens, at the address that it has. */
  onPort(port: number): void
  /** It wants to know of others that have the image. */
  onAsk(): void
  /** Others that have the image. */
  onPeers(peers: readonly KnownPeer[]): void
  /** Blocks that it is sending to others. */
  onSending(list: readonly Sending[]): void
}

/**
 * The messages by which two peers of one image tell each other about further peers. Used when both have shown to know the
 * image's key. A peer of a release without this channel rejects it, and nothing else happens. So does a peer that has not
 * opened the image yet; it opens the channel itself when it has.
 */
export class CrowdChannel {
  readonly #mux: Protomux
  readonly #topic: Buffer
  readonly #events: CrowdEvents
  #channel: ReturnType<Protomux['createChannel']> = null
  #isOpen = false
  #isClosed = false

  /** @param topic discovery key of the image's content */
  constructor(connection: SwarmConnection, topic: Buffer, events: CrowdEvents) {
    this.#mux = Protomux.from(connection)
    this.#topic = topic
    this.#events = events
    this.#mux.pair({ protocol: PROTOCOL, id: topic }, () => this.#open())
    this.#open()
  }

  /** Tells the TCP port at which this machine listens. Lost before the channel is open, as is all that follows. */
  tellPort(port: number): void {
    this.#send(0, c.encode(c.uint, port))
  }

  /** Asks for other peers of the image. */
  ask(): void {
    this.#send(1, Buffer.alloc(0))
  }

  /** Answers {@link ask} with at most 16 peers. */
  tellPeers(peers: readonly KnownPeer[]): void {
    this.#send(2, c.encode(peerList, peers))
  }

  /** Tells which blocks this machine is sending to others; an empty list sends nothing. */
  tellSending(list: readonly Sending[]): void {
    if (list.length > 0) this.#send(3, c.encode(sendingList, list))
  }

  /** Closes the channel, and opens it no more. */
  close(): void {
    this.#isClosed = true
    this.#mux.unpair({ protocol: PROTOCOL, id: this.#topic })
    this.#channel?.close()
  }

  #open(): void {
    if (this.#isClosed || this.#channel !== null) return
    const events = this.#events
    const channel = this.#mux.createChannel({
      protocol: PROTOCOL,
      id: this.#topic,
      messages: [
        { onmessage: reading(c.uint, (port) => events.onPort(port)) },
        { onmessage: () => events.onAsk() },
        { onmessage: reading(peerList, (peers) => events.onPeers(peers)) },
        { onmessage: reading(sendingList, (list) => events.onSending(list)) }
      ],
      onopen: () => {
        this.#isOpen = true
        events.onOpen()
      },
      onclose: () => {
        if (this.#channel === channel) this.#channel = null
        this.#isOpen = false
      }
    })
    this.#channel = channel
    channel?.open()
  }

  #send(kind: number, message: Buffer): void {
    if (this.#isOpen) this.#channel?.messages[kind]?.send(message)
  }
}

function reading<T>(encoding: Encoding<T>, handle: (value: T) => void): (message: Buffer) => void {
  return (message) => {
    if (message.length > MOST_BYTES) return
    let value: T
    try {
      value = c.decode(encoding, message)
    } catch {
      // The connection also carries blocks: a message that cannot be read must not end it.
      return
    }
    handle(value)
  }
}
