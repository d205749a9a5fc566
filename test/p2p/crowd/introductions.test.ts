import { randomBytes } from 'node:crypto'
import test from 'brittle'
import type { SwarmConnection } from 'hyperswarm'
import { Introductions, type Acquaintance } from '../../../src/p2p/crowd/introductions.ts'
import type { KnownPeer } from '../../../src/p2p/peers/known-peers.ts'

/** A reader's introductions, and what they have this machine do. */
class Reader implements Disposable {
  readonly dialed: string[] = []
  readonly probed: number[] = []
  readonly introductions = new Introductions({
    node: {
      exchanges: true,
      publicKey: randomBytes(32),
      dialKnown: async ({ host, port }) => {
        this.dialed.push(`${host}:${port}`)
        return false
      },
      reaches: async ({ port }) => {
        this.probed.push(port)
        return true
      }
    },
    wantsBlocks: () => true,
    connected: () => new Set()
  })

  /** A peer that has connected by TCP from an address. */
  meet(remoteAddress: string): Acquaintance & { readonly asked: () => number } {
    let asked = 0
    const connection = {
      isInitiator: false,
      remotePublicKey: randomBytes(32),
      rawStream: { remoteAddress, remotePort: 40_000 }
    } as unknown as SwarmConnection
    const peer = { connection, ask: () => void asked++, tellPeers: () => {}, asked: () => asked }
    this.introductions.add(peer)
    return peer
  }

  [Symbol.dispose](): void {
    this.introductions[Symbol.dispose]()
  }
}

const peersAt = (host: string, count: number): KnownPeer[] =>
  Array.from({ length: count }, (_, n) => ({
    publicKey: randomBytes(32).toString('hex'),
    host,
    port: 1_000 + n
  }))
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('a peer that is asked once is followed once, however much it tells', async (t) => {
  using reader = new Reader()
  const peer = reader.meet('203.0.113.7')
  t.is(peer.asked(), 1)
  for (let n = 0; n < 50; n++) {
    reader.introductions.takePeers(peer, peersAt('198.51.100.1', 16))
    await settled()
  }
  t.is(reader.dialed.length, 16)
})

test('addresses of a narrower network than the teller’s are not followed', async (t) => {
  using reader = new Reader()
  const told = [...peersAt('127.0.0.1', 3), ...peersAt('10.1.2.3', 3), ...peersAt('192.0.2.1', 1)]
  reader.introductions.takePeers(reader.meet('203.0.113.7'), told)
  await settled()
  t.alike(reader.dialed, ['192.0.2.1:1000'])
})

test('a peer that tells ports again and again is looked for at the first one', async (t) => {
  using reader = new Reader()
  const peer = reader.meet('203.0.113.7')
  for (let port = 1; port < 100; port++) await reader.introductions.takePort(peer, port)
  t.alike(reader.probed, [1])
})
