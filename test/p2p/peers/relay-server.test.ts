import { once } from 'node:events'
import { randomBytes } from 'node:crypto'
import { createRequire } from 'node:module'
import type { Duplex } from 'node:stream'
import test from 'brittle'
import DHT from 'hyperdht'
import createTestnet from 'hyperdht/testnet.js'
import type { SwarmConnection } from 'hyperswarm'
import { RelayServer, type RelayLimits } from '../../../src/p2p/peers/relay-server.ts'
import { until } from '../../until.ts'

const { Client } = createRequire(import.meta.url)('blind-relay') as {
  readonly Client: {
    from(
      connection: SwarmConnection,
      options: { id: Buffer }
    ): { pair(isInitiator: boolean, token: Buffer, stream: RawStream): Duplex }
  }
}

type RawStream = Duplex & {
  readonly bytesReceived: number
  connect(socket: unknown, id: number, port: number, host: string): void
}

const MIB = 1024 * 1024
const WIDE: RelayLimits = {
  clients: 8,
  clientsAnAddress: 8,
  bytesAPair: 64 * MIB,
  bytesASecond: 64 * MIB
}

/** A relay with its limits, in a DHT of its own, and clients of it. */
class Scene implements AsyncDisposable {
  readonly relay: RelayServer
  readonly #key: Buffer
  readonly #bootstrap: readonly string[]
  readonly #ends: (() => Promise<unknown>)[]

  private constructor(
    relay: RelayServer,
    key: Buffer,
    bootstrap: readonly string[],
    end: () => Promise<unknown>
  ) {
    this.relay = relay
    this.#key = key
    this.#bootstrap = bootstrap
    this.#ends = [end, () => relay[Symbol.asyncDispose]()]
  }

  static async open(limits: RelayLimits): Promise<Scene> {
    const testnet = await createTestnet(3)
    const bootstrap = testnet.bootstrap.map(({ host, port }) => `${host}:${port}`)
    const keyPair = DHT.keyPair(randomBytes(32))
    const relay = await RelayServer.open({ keyPair, bootstrap, port: 0, limits })
    return new Scene(relay, keyPair.publicKey, bootstrap, () => testnet.destroy())
  }

  async client(): Promise<{ dht: DHT; connection: SwarmConnection }> {
    const dht = new DHT({ bootstrap: this.#bootstrap, firewalled: false })
    this.#ends.push(() => dht.destroy({ force: true }))
    const connection = dht.connect(this.#key)
    connection.on('error', () => {})
    await once(connection, 'open').catch(() => {})
    return { dht, connection }
  }

  /** Two ends that the relay connects. */
  async pair(): Promise<[RawStream, RawStream]> {
    const token = randomBytes(32)
    const ends = await Promise.all(
      [true, false].map(async (isInitiator) => {
        const { dht, connection } = await this.client()
        const stream = dht.createRawStream({}) as unknown as RawStream // It is one of UDX.
        stream.on('error', () => {})
        return { isInitiator, connection, stream }
      })
    )
    await Promise.all(
      ends.map(async ({ isInitiator, connection, stream }) => {
        const paired = Client.from(connection, { id: connection.publicKey }).pair(
          isInitiator,
          token,
          stream
        )
        paired.on('error', () => {})
        const [id] = (await once(paired, 'data')) as [number]
        const {
          socket,
          remotePort = 0,
          remoteHost
        } = connection.rawStream as SwarmConnection['rawStream'] & {
          socket: unknown
        }
        stream.connect(socket, id, remotePort, remoteHost ?? '')
      })
    )
    // The relay learns from the first packet of each where it is.
    for (const { stream } of ends) stream.write(Buffer.from('here'))
    const [one, other] = ends
    if (!one || !other) throw new Error('there are two')
    return [one.stream, other.stream]
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const end of this.#ends.toReversed()) await end()
  }
}

test('a relay passes on what its limits allow, and ends what exceeds them', async (t) => {
  for (const [name, limits] of [
    ['bytes of a pair', { ...WIDE, bytesAPair: 2 * MIB }],
    ['bytes a second', { ...WIDE, bytesASecond: MIB / 32 }]
  ] as const) {
    await using scene = await Scene.open(limits)
    const [one, other] = await scene.pair()
    other.resume()
    one.write(randomBytes(MIB))
    await until(t, 'a part comes through', () => other.bytesReceived >= MIB)
    t.ok(scene.relay.traffic.bytes >= MIB, `${name}: it is counted: ${scene.relay.traffic.bytes}`)
    t.absent(one.destroyed || other.destroyed)
    for (let sent = 0; sent < 8; sent++) one.write(randomBytes(MIB))
    await until(t, `${name}: what is more is not passed on`, () => scene.relay.traffic.pairs === 0)
  }
})

test('a relay has places for so many clients, and so many of one address', async (t) => {
  for (const limits of [
    { ...WIDE, clients: 2 },
    { ...WIDE, clientsAnAddress: 2 }
  ]) {
    await using scene = await Scene.open(limits)
    const [first, second] = [await scene.client(), await scene.client()]
    await until(t, 'two have places', () => scene.relay.traffic.clients === 2)
    const third = await scene.client()
    await until(t, 'the third has none', () => third.connection.destroying)
    t.absent(first.connection.destroying || second.connection.destroying)
    first.connection.destroy()
    await until(t, 'a place gets free', () => scene.relay.traffic.clients === 1)
  }
})

test('a client that asks for pairs without end is sent away', async (t) => {
  await using scene = await Scene.open(WIDE)
  const { dht, connection } = await scene.client()
  const client = Client.from(connection, { id: connection.publicKey })
  for (let n = 0; n < 1_000; n++) {
    const stream = dht.createRawStream({}) as unknown as RawStream // It is one of UDX.
    stream.on('error', () => {})
    const paired = client.pair(true, randomBytes(32), stream)
    paired.on('error', () => {})
    paired.resume()
  }
  await until(t, 'it has no place any more', () => scene.relay.traffic.clients === 0)
})
