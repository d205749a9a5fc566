import c, { type Encoding, type State } from 'compact-encoding'
import { isIP } from 'node:net'
import type { KnownPeer } from '../peers/known-peers.ts'

/** More peers in one message are not read. */
export const MOST_PEERS = 16
/** More blocks in one message are not read: as many as 200 MB of an image. */
export const MOST_BLOCKS = 4_096
/** Bytes of a public key that tell a receiver among the peers of one image. */
const RECEIVER_BYTES = 8

/** How notices name the receiver of a block. @param id its public key, in hex */
export function receiverOf(id: string): string {
  return id.slice(0, 2 * RECEIVER_BYTES)
}

const KEY_BYTES = 32
const FAMILY_BYTES = { 4: 4, 6: 16 } as const

/** Blocks that the sender of the message sends to one peer. */
export interface Sending {
  /** The first bytes of the receiver's public key, as 16 hex digits. */
  readonly receiver: string
  readonly blocks: readonly number[]
}

/**
 * Peers that have an image: a count; for each 32 bytes of its public key, 4 or 6 for the family, the address in 4 or 16
 * bytes, and the TCP port.
 */
export const peerList: Encoding<readonly KnownPeer[]> = {
  preencode(state, peers) {
    c.uint.preencode(state, peers.length)
    for (const { host, port } of peers) {
      state.end += KEY_BYTES + 1 + FAMILY_BYTES[familyOf(host)]
      c.uint.preencode(state, port)
    }
  },
  encode(state, peers) {
    c.uint.encode(state, peers.length)
    for (const { publicKey, host, port } of peers) {
      put(state, Buffer.from(publicKey, 'hex'))
      const family = familyOf(host)
      put(state, Uint8Array.of(family))
      put(state, family === 4 ? Uint8Array.from(host.split('.').map(Number)) : ipv6Bytes(host))
      c.uint.encode(state, port)
    }
  },
  /** @throws Error for anything else */
  decode(state) {
    const count = boundedCount(state, MOST_PEERS)
    return Array.from({ length: count }, () => {
      const publicKey = take(state, KEY_BYTES).toString('hex')
      const family = take(state, 1)[0]
      if (family !== 4 && family !== 6) throw new Error('neither IPv4 nor IPv6')
      const bytes = take(state, FAMILY_BYTES[family])
      const host = family === 4 ? [...bytes].join('.') : ipv6Text(bytes)
      const port = c.uint.decode(state)
      if (port < 1 || port > 65_535) throw new Error('no such port')
      return { publicKey, host, port }
    })
  }
}

/** Blocks on their way: a count of receivers; for each 8 bytes of its key, a count, and the differences of block numbers. */
export const sendingList: Encoding<readonly Sending[]> = {
  preencode(state, list) {
    c.uint.preencode(state, list.length)
    for (const { blocks } of list) {
      state.end += RECEIVER_BYTES
      c.uint.preencode(state, blocks.length)
      for (const step of steps(blocks)) c.uint.preencode(state, step)
    }
  },
  encode(state, list) {
    c.uint.encode(state, list.length)
    for (const { receiver, blocks } of list) {
      put(state, Buffer.from(receiver, 'hex'))
      c.uint.encode(state, blocks.length)
      for (const step of steps(blocks)) c.uint.encode(state, step)
    }
  },
  /** @throws Error for anything else */
  decode(state) {
    let left = MOST_BLOCKS
    const count = boundedCount(state, MOST_BLOCKS)
    return Array.from({ length: count }, () => {
      const receiver = take(state, RECEIVER_BYTES).toString('hex')
      const blocks: number[] = []
      const length = boundedCount(state, left)
      left -= length
      let block = 0
      for (let n = 0; n < length; n++) {
        block += c.uint.decode(state)
        if (!Number.isSafeInteger(block)) throw new Error('no such block')
        blocks.push(block)
      }
      return { receiver, blocks }
    })
  }
}

function familyOf(host: string): 4 | 6 {
  return isIP(host) === 6 ? 6 : 4
}

function ipv6Bytes(host: string): Uint8Array {
  const [head = '', tail] = host.split('%')[0]?.split('::') ?? []
  const words = (text: string): number[] =>
    text === ''
      ? []
      : text.split(':').flatMap((part) => {
          if (!part.includes('.')) return [Number.parseInt(part, 16)]
          const [a = 0, b = 0, c3 = 0, d = 0] = part.split('.').map(Number)
          return [a * 256 + b, c3 * 256 + d]
        })
  const first = words(head)
  const last = words(tail ?? '')
  const zeros = Array.from({ length: 8 - first.length - last.length }, () => 0)
  return Uint8Array.from([...first, ...zeros, ...last].flatMap((word) => [word >> 8, word & 255]))
}

function ipv6Text(bytes: Buffer): string {
  const words = Array.from({ length: 8 }, (_, n) => bytes.readUInt16BE(2 * n).toString(16))
  return new URL(`http://[${words.join(':')}]`).hostname.slice(1, -1)
}

function* steps(blocks: readonly number[]): Generator<number> {
  let before = 0
  for (const block of blocks.toSorted((a, b) => a - b)) {
    yield block - before
    before = block
  }
}

function boundedCount(state: State, most: number): number {
  const count = c.uint.decode(state)
  if (count > most) throw new Error(`${count} of at most ${most}`)
  return count
}

function take(state: State, bytes: number): Buffer {
  if (state.end - state.start < bytes) throw new Error('the message ends too soon')
  const part = Buffer.from(state.buffer.subarray(state.start, state.start + bytes))
  state.start += bytes
  return part
}

function put(state: State, bytes: Uint8Array): void {
  state.buffer.set(bytes, state.start)
  state.start += bytes.length
}
