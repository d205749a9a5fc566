import { randomBytes } from 'node:crypto'
import type { MdnsPacket, MdnsRecord, Sender } from 'multicast-dns'
import { LanSockets } from './lan-sockets.ts'
import { nameOf, openPublicKey, sealPublicKey, SERVICE } from './lan-names.ts'

/** How long others may keep what they are told. Seconds. */
const TTL = 10
/** A name is answered once in this time, however often it is asked for. */
const ANSWER_PAUSE_MS = 500
/** So many names of one query are answered. */
const MOST_QUESTIONS = 32
/** So many answers to one question are followed: each is a peer to connect to. */
const MOST_ANSWERS = 16

/** A peer on a local network. */
export interface LanPeer {
  /** 64 hex digits; it proves that it has the key when it is connected to. */
  readonly publicKey: string
  readonly host: string
  readonly port: number
}

export interface LanDiscoveryOptions {
  /** Public key of this home. */
  readonly publicKey: Buffer
  /** TCP port where peers may connect; undefined for none. */
  readonly port: () => number | undefined
  readonly onTrouble: (address: string, error: Error) => void
}

interface Held {
  readonly key: Buffer
  uses: number
  /** When it was last answered, by the address of this machine. */
  readonly answeredMs: Map<string, number>
}

interface Looking {
  readonly key: Buffer
  readonly onFound: (peer: LanPeer) => void
  /** So many answers are followed until it is asked again. */
  answersLeft: number
}

/**
 * Finds peers on the networks that this machine is in, without any server: by DNS-SD over multicast DNS (RFC 6762, 6763). Who
 * looks for a drive asks for its name; who has it answers with port and sealed public key. Nothing is announced unasked.
 */
export class LanDiscovery implements Disposable {
  readonly #options: LanDiscoveryOptions
  readonly #sockets: LanSockets
  /** By name. */
  readonly #held = new Map<string, Held>()
  readonly #looking = new Map<string, Set<Looking>>()
  /** Names this machine on the network, until the next start. */
  readonly #host = `dat-${randomBytes(6).toString('hex')}`

  constructor(options: LanDiscoveryOptions) {
    this.#options = options
    this.#sockets = new LanSockets({
      onPacket: (packet, from, at) => {
        if (packet.type === 'query') this.#answer(packet, at)
        else this.#take(packet, from)
      },
      onTrouble: options.onTrouble
    })
  }

  /** Answers those who look for a drive. @returns ends that */
  announce(key: Buffer): () => void {
    const name = nameOf(key)
    const held = this.#held.get(name) ?? { key, uses: 0, answeredMs: new Map() }
    this.#held.set(name, held)
    held.uses++
    return () => {
      if (--held.uses === 0) this.#held.delete(name)
    }
  }

  /** Takes answers about a drive. @returns ends that */
  look(key: Buffer, onFound: (peer: LanPeer) => void): () => void {
    const name = nameOf(key)
    const looking = { key, onFound, answersLeft: MOST_ANSWERS }
    const all = this.#looking.get(name) ?? new Set()
    this.#looking.set(name, all.add(looking))
    return () => {
      all.delete(looking)
      if (all.size === 0) this.#looking.delete(name)
    }
  }

  /** Asks once who has a drive. */
  ask(key: Buffer): void {
    const questions = [{ name: nameOf(key), type: 'PTR' as const }]
    for (const looking of this.#looking.get(nameOf(key)) ?? []) looking.answersLeft = MOST_ANSWERS
    this.#sockets.send({ type: 'query', questions })
  }

  [Symbol.dispose](): void {
    this.#sockets[Symbol.dispose]()
    this.#held.clear()
    this.#looking.clear()
  }

  /** Answers on the network that asks, with the address that this machine has there. */
  #answer({ questions = [] }: MdnsPacket, address: string): void {
    const port = this.#options.port()
    if (port === undefined) return
    for (const { name, type } of questions.slice(0, MOST_QUESTIONS)) {
      const held = type === 'PTR' || type === 'ANY' ? this.#held.get(name.toLowerCase()) : undefined
      const now = performance.now()
      const answeredMs = held?.answeredMs.get(address) ?? -Infinity
      if (held === undefined || now - answeredMs < ANSWER_PAUSE_MS) continue
      held.answeredMs.set(address, now)
      this.#sockets.send(this.#answerOf(name, held.key, { address, port }), address)
    }
  }

  #answerOf(name: string, key: Buffer, at: { address: string; port: number }): MdnsPacket {
    const instance = `${this.#host}.${SERVICE}`
    const target = `${this.#host}.local`
    const sealed = sealPublicKey(key, this.#options.publicKey)
    return {
      type: 'response',
      answers: [{ name, type: 'PTR', ttl: TTL, data: instance }],
      additionals: [
        { name: instance, type: 'SRV', ttl: TTL, data: { port: at.port, target } },
        { name: instance, type: 'TXT', ttl: TTL, data: [`v=1`, `p=${sealed}`] },
        { name: target, type: 'A', ttl: TTL, data: at.address }
      ]
    }
  }

  #take({ answers = [], additionals = [] }: MdnsPacket, from: Sender): void {
    const records = [...answers, ...additionals]
    for (const record of records) {
      if (record.type !== 'PTR') continue
      for (const looking of this.#looking.get(record.name.toLowerCase()) ?? []) {
        const peer = peerOf(records, record.data, looking.key)
        if (peer === undefined || peer.publicKey.equals(this.#options.publicKey)) continue
        if (looking.answersLeft-- <= 0) continue
        // Where it comes from, and not what it says: nobody is to be sent to a third one.
        looking.onFound({
          publicKey: peer.publicKey.toString('hex'),
          host: from.address,
          port: peer.port
        })
      }
    }
  }
}

function peerOf(
  records: readonly MdnsRecord[],
  instance: unknown,
  key: Buffer
): { publicKey: Buffer; port: number } | undefined {
  let port = 0
  let publicKey: Buffer | undefined
  for (const record of records) {
    if (record.name !== instance) continue
    if (record.type === 'SRV') port = record.data.port
    if (record.type === 'TXT') {
      const texts = [record.data].flat().map(String)
      const sealed = texts.find((text) => text.startsWith('p='))?.slice(2)
      publicKey = sealed === undefined ? undefined : openPublicKey(key, sealed)
    }
  }
  return publicKey && port > 0 ? { publicKey, port } : undefined
}
