import { mkdtempSync, rmSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect, createServer, Socket, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'brittle'
import DHT from 'hyperdht'
import createTestnet from 'hyperdht/testnet.js'
import Hyperswarm, { type SwarmConnection } from 'hyperswarm'
import Protomux from 'protomux'
import { decodePort, encodePort } from '../../../src/p2p/peers/direct-address.ts'
import { DirectPeers } from '../../../src/p2p/peers/direct-peers.ts'
import { DriveSession, type OpenDrive } from '../../../src/p2p/transfer/drive-session.ts'
import { PeerNode, type PeerNodeOptions } from '../../../src/p2p/peers/peer-node.ts'
import { pause, peerDeadline } from '../../../src/core/abort.ts'
import { freePort } from '../../../src/machine/qemu/free-port.ts'
import { Cable } from '../cable.ts'
import { seedTinyImage } from '../tiny-image.ts'
import { until } from '../../until.ts'

const BLOCKS = 400
const BLOCK_BYTES = 50_000
const LOOPBACK = '127.0.0.1'
const soon = (): AbortSignal => peerDeadline(undefined, 30_000, 'it').signal

/** A private DHT, an owner of a drive and who reads it. */
class Pair implements AsyncDisposable {
  readonly owner: PeerNode
  readonly reader: PeerNode
  readonly opened: OpenDrive
  readonly #held: readonly AsyncDisposable[]

  private constructor(
    owner: PeerNode,
    reader: PeerNode,
    opened: OpenDrive,
    held: readonly AsyncDisposable[]
  ) {
    this.owner = owner
    this.reader = reader
    this.opened = opened
    this.#held = held
  }

  static async open(
    of: Partial<PeerNodeOptions>,
    reading: Partial<PeerNodeOptions>
  ): Promise<Pair> {
    const directory = mkdtempSync(join(tmpdir(), 'dat-switch-'))
    const testnet = await createTestnet(3)
    const bootstrap = testnet.bootstrap.map(({ host, port }) => `${host}:${port}`)
    const owner = await PeerNode.open({ storage: join(directory, 'owner'), bootstrap, ...of })
    const blocks = Array.from({ length: BLOCKS }, () => randomBytes(BLOCK_BYTES))
    const image = await seedTinyImage(owner, { a: 'content' }, soon(), blocks)
    const { key, secret, seeded } = image
    const reader = await PeerNode.open({
      storage: join(directory, 'reader'),
      bootstrap,
      ...reading
    })
    const drive = new DriveSession({ node: reader, key, secret, role: 'reader' })
    const opened = await drive.open(soon())
    return new Pair(owner, reader, opened, [
      drive,
      reader,
      seeded,
      owner,
      { [Symbol.asyncDispose]: () => testnet.destroy() },
      { [Symbol.asyncDispose]: async () => rmSync(directory, { recursive: true }) }
    ])
  }

  async read(first: number, count: number): Promise<void> {
    const blocks = Array.from({ length: count }, (_, n) => first + n)
    const { fetcher } = this.opened
    await Promise.all(blocks.map((block) => fetcher.read(block, { signal: soon() })))
  }

  /** Reads little by little until TCP has taken over: it does so while something is asked for. @returns the next block */
  async readUntilTcp(t: Parameters<typeof until>[0]): Promise<number> {
    let next = 0
    await until(t, 'TCP alone is used', async () => {
      if (next < BLOCKS - 100) await this.read(next, 2)
      next = Math.min(next + 2, BLOCKS - 100)
      return this.usesOnly('TCP')
    })
    return next
  }

  /** Whether that alone is what the reader asks for blocks over. */
  usesOnly(what: 'TCP' | 'UDP'): boolean {
    const { peers } = this.opened.cores.blobs
    const isTcp = peers.map(({ stream }) => stream.rawStream instanceof Socket)
    return isTcp.length === 1 && isTcp[0] === (what === 'TCP')
  }

  /** Whether the reader has every block. */
  hasAll(): boolean {
    const { fetcher } = this.opened
    return Array.from({ length: BLOCKS }, (_, block) => fetcher.has(block)).every(Boolean)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const resource of this.#held) await resource[Symbol.asyncDispose]()
  }
}

for (const [name, of, reading] of [
  ['the owner listens', { listen: 'known' }, {}],
  ['the reader listens', {}, { listen: 'known' }],
  ['both listen', { listen: 'known' }, { listen: 'known' }]
] as const) {
  test(`peers that the DHT connected go over to TCP: ${name}`, async (t) => {
    await using pair = await Pair.open(of, reading)
    const next = await pair.readUntilTcp(t)
    await pair.read(next, BLOCKS - 50 - next)
    const { directBytesRead: before } = pair.reader.traffic()
    await pair.read(BLOCKS - 50, 50)
    const { bytesRead, directBytesRead } = pair.reader.traffic()
    // Some came as companions of those before.
    t.ok(directBytesRead - before > 40 * BLOCK_BYTES, 'blocks come by TCP')
    t.ok(bytesRead < 1.1 * BLOCKS * BLOCK_BYTES, `each once: ${bytesRead} bytes`)
    await until(t, 'one, whoever dialed', () => pair.owner.traffic().direct === 1)
  })
}

test('where the direct connection ends, the swarm’s takes over', async (t) => {
  const listen = { host: LOOPBACK, port: await freePort() }
  const cable = await Cable.open(listen)
  await using pair = await Pair.open({ listen, outsidePort: cable.address.port }, {})
  const next = await pair.readUntilTcp(t)
  cable.cut()
  await pair.read(next, BLOCKS - next)
  await until(t, 'UDP alone is used', () => pair.usesOnly('UDP'))
  t.is(pair.reader.traffic().direct, 0)
})

test('a direct connection that is cut while it is taking over loses nothing', async (t) => {
  const listen = { host: LOOPBACK, port: await freePort() }
  const cable = await Cable.open(listen)
  await using pair = await Pair.open({ listen, outsidePort: cable.address.port }, {})
  // Little by little, so that much is left when it takes over.
  let next = 0
  await until(t, 'it is taking over', async () => {
    await pair.read(next, 2)
    next += 2
    return pair.reader.traffic().directBytesRead > 2 * BLOCK_BYTES
  })
  const reading = pair.read(next, BLOCKS - next)
  t.absent(pair.hasAll(), 'blocks are missing when it is cut')
  cable.cut()
  await reading
  t.ok(pair.hasAll(), 'all blocks came')
})

test('a path that lets a handshake through and no block is given up', async (t) => {
  const listen = { host: LOOPBACK, port: await freePort() }
  const cable = await Cable.open(listen, 2_000)
  await using pair = await Pair.open({ listen, outsidePort: cable.address.port }, {})
  await pair.read(0, BLOCKS)
  t.is(cable.calls, 1)
  t.ok(pair.hasAll(), 'all blocks came')
  await until(t, 'UDP alone is used again', () => pair.usesOnly('UDP'))
  cable.cut()
})

test('a port that cannot be reached leaves the swarm’s connection as it is', async (t) => {
  // One nobody listens at, and one where somebody listens and says nothing.
  let calls = 0
  const silent = createServer(() => calls++).listen(0, LOOPBACK)
  await once(silent, 'listening')
  for (const outsidePort of [await freePort(), (silent.address() as AddressInfo).port]) {
    await using pair = await Pair.open({ listen: 'known', outsidePort }, {})
    await pair.read(0, BLOCKS)
    t.ok(pair.usesOnly('UDP'))
    t.is(pair.reader.traffic().directBytesRead, 0)
  }
  t.is(calls, 1)
  silent.close()
})

test('somebody else at the port that a peer has told is not talked to', async (t) => {
  const met: SwarmConnection[] = []
  await using impostor = new DirectPeers({
    keyPair: DHT.keyPair(),
    onConnection: (connection) => met.push(connection)
  })
  const listen = { host: LOOPBACK, port: await impostor.listen({ host: LOOPBACK, port: 0 }) }
  const cable = await Cable.open(listen)
  await using pair = await Pair.open({ listen: 'known', outsidePort: cable.address.port }, {})
  await pair.read(0, BLOCKS)
  t.is(cable.calls, 1)
  t.ok(pair.usesOnly('UDP'))
  t.is(met.length, 0)
  cable.cut()
})

test('a port for known peers answers those alone who know its key', async (t) => {
  const keyPair = DHT.keyPair()
  const met: SwarmConnection[] = []
  await using listener = new DirectPeers({
    keyPair,
    onConnection: (connection) => met.push(connection)
  })
  const address = {
    host: LOOPBACK,
    port: await listener.listen({ host: LOOPBACK, port: 0 }, { known: true })
  }
  const dialer = DHT.keyPair()
  await using caller = new DirectPeers({ keyPair: dialer, onConnection: () => {} })
  t.is(await caller.dial(address), undefined, 'not whoever asks who it is')
  t.is(
    await caller.dialKnown(address, DHT.keyPair().publicKey),
    undefined,
    'nor who takes it for another'
  )
  for (const bytes of [Buffer.alloc(64, 0xff), Buffer.from([96, 0, 0, ...randomBytes(96)])]) {
    const stranger = connect(address.port, address.host)
    stranger.on('error', () => {})
    let answered = 0
    stranger.on('data', (data) => (answered += data.length))
    stranger.write(bytes)
    await once(stranger, 'close')
    t.is(answered, 0, 'not a byte')
  }
  t.is(met.length, 0)
  const connection = await caller.dialKnown(address, keyPair.publicKey)
  t.ok(connection)
  await until(t, 'they have met', () => met.length === 1)
  t.alike(met[0]?.remotePublicKey, dialer.publicKey)
  t.ok(caller.has(keyPair.publicKey))
})

test('absurd messages about an address are ignored, and one of a port is taken', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'dat-switch-'))
  const testnet = await createTestnet(3)
  const bootstrap = testnet.bootstrap.map(({ host, port }) => `${host}:${port}`)
  const dialed: Socket[] = []
  const tcp = createServer((socket) => dialed.push(socket)).listen(0, LOOPBACK)
  await once(tcp, 'listening')
  const { port } = tcp.address() as AddressInfo
  {
    await using node = await PeerNode.open({ storage: join(directory, 'node'), bootstrap })
    const topic = randomBytes(32)
    await node.join(topic, { server: true, client: false }).flushed()
    const dht = new DHT({ bootstrap, firewalled: false, ephemeral: false })
    const swarm = new Hyperswarm({ dht })
    const connected = once(swarm, 'connection')
    swarm.join(topic, { client: true, server: false })
    const [connection] = (await connected) as [SwarmConnection]
    connection.on('error', () => {})
    const channel = Protomux.from(connection).createChannel({
      protocol: 'dat-container/direct-address/1',
      messages: [{ onmessage: () => {} }, { onmessage: () => {} }]
    })
    channel?.open()
    const absurd = [
      Buffer.alloc(0),
      Buffer.alloc(1),
      Buffer.alloc(2),
      Buffer.alloc(33, 1),
      Buffer.alloc(200_000, 1)
    ]
    for (const message of absurd) channel?.messages[0]?.send(message)
    for (const message of absurd) channel?.messages[1]?.send(message)
    for (let n = 0; n < 100; n++) channel?.messages[0]?.send(encodePort(port))
    await until(t, 'it is dialed', () => dialed.length > 0)
    const [socket] = dialed
    socket?.destroy()
    channel?.messages[0]?.send(encodePort(port))
    // Time for a second dial, which must not come; the first took less.
    await pause(500)
    t.is(dialed.length, 1, 'told a hundred times, dialed once')
    t.is(node.traffic().connections, 1, 'and the connection goes on')
    t.absent(connection.destroying)
    await swarm.destroy()
  }
  tcp.close()
  await testnet.destroy()
  rmSync(directory, { recursive: true })
})

test('the message of a port', (t) => {
  for (const port of [1, 80, 65_535]) t.is(decodePort(encodePort(port)), port)
  t.is(
    decodePort(Buffer.concat([encodePort(7), Buffer.alloc(8)])),
    7,
    'with what a later version adds'
  )
  for (const length of [0, 1, 33, 1_000]) t.is(decodePort(Buffer.alloc(length, 1)), undefined)
  t.is(decodePort(Buffer.alloc(2)), undefined)
})
