import { mkdtempSync, rmSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'brittle'
import createTestnet from 'hyperdht/testnet.js'
import { pause, peerDeadline } from '../../../src/core/abort.ts'
import { PeerNode, type PeerNodeOptions } from '../../../src/p2p/peers/peer-node.ts'
import { DriveSession, type OpenDrive } from '../../../src/p2p/transfer/drive-session.ts'
import { seedTinyImage } from '../tiny-image.ts'

/** Nobody answers there: readers know each other by addresses alone. */
const NO_DHT = ['127.0.0.1:9']
const READERS = 4
const BLOCKS = 120
const soon = (): AbortSignal => peerDeadline(undefined, 60_000, 'it').signal

/** A publisher of one image, and readers that know nobody but it. */
class Gathering implements AsyncDisposable {
  readonly #directory = mkdtempSync(join(tmpdir(), 'dat-crowd-'))
  readonly #nodes = new Set<PeerNode>()
  readonly #drives = new Set<DriveSession>()
  #testnet!: Awaited<ReturnType<typeof createTestnet>>
  publisher!: PeerNode
  seeded!: DriveSession
  image!: { key: Buffer; secret: Buffer }

  static async open(options: Partial<PeerNodeOptions> = {}): Promise<Gathering> {
    const gathering = new Gathering()
    // For the publisher alone, which otherwise waits for long until it is announced.
    gathering.#testnet = await createTestnet(1)
    const bootstrap = gathering.#testnet.bootstrap.map(({ host, port }) => `${host}:${port}`)
    const listen = { host: '127.0.0.1', port: 0 }
    gathering.publisher = await gathering.#node('publisher', { listen, bootstrap, ...options })
    const blocks = Array.from({ length: BLOCKS }, () => randomBytes(2_000))
    const made = await seedTinyImage(gathering.publisher, { a: 'x' }, soon(), blocks)
    gathering.image = { key: made.key, secret: made.secret }
    gathering.seeded = made.seeded
    gathering.#drives.add(made.seeded)
    return gathering
  }

  async reader(name: string, options: Partial<PeerNodeOptions> = {}): Promise<OpenDrive> {
    const node = await this.#node(name, { listen: 'known', ...options })
    const drive = new DriveSession({ node, ...this.image, role: 'reader' })
    this.#drives.add(drive)
    const { listening } = this.publisher
    if (listening) drive.addPeers([listening])
    return drive.open(soon())
  }

  async #node(name: string, options: Partial<PeerNodeOptions>): Promise<PeerNode> {
    const storage = join(this.#directory, name)
    const node = await PeerNode.open({ storage, bootstrap: NO_DHT, ...options })
    this.#nodes.add(node)
    return node
  }

  /** Ends the publisher's node, as a machine that is switched off. */
  async endPublisher(): Promise<void> {
    await this.seeded[Symbol.asyncDispose]()
    await this.publisher[Symbol.asyncDispose]()
    this.#drives.delete(this.seeded)
    this.#nodes.delete(this.publisher)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#drives].map((drive) => drive[Symbol.asyncDispose]()))
    await Promise.all([...this.#nodes].map((node) => node[Symbol.asyncDispose]()))
    await this.#testnet.destroy()
    rmSync(this.#directory, { recursive: true })
  }
}

function fetchAll({ fetcher }: OpenDrive, range: readonly [number, number]): Promise<void> {
  const ranges = [range]
  // oxlint-disable-next-line no-array-fill-with-reference-type -- no array is filled
  return fetcher.fill(ranges, { eager: true })
}

const peersOf = ({ cores }: OpenDrive): number =>
  new Set(cores.blobs.peers.map(({ remotePublicKey }) => remotePublicKey.toString('hex'))).size

test('readers that know only the publisher find each other through it', async (t) => {
  await using gathering = await Gathering.open()
  const readers = await Promise.all(
    Array.from({ length: READERS }, (_, n) => gathering.reader(`reader${n}`))
  )
  // They want something that nobody has, and so go on looking.
  const until = new AbortController()
  for (const { fetcher, cores } of readers) {
    fetcher.read(cores.blobs.length + 10, { signal: until.signal }).catch(() => {})
  }
  while (readers.some((reader) => peersOf(reader) < READERS)) {
    soon().throwIfAborted()
    await pause(20)
  }
  t.pass('each is connected with all others and the publisher')
  until.abort()
})

test('a daemon that exchanges no peers tells nobody, and follows nobody', async (t) => {
  await using gathering = await Gathering.open({ exchanges: false })
  const readers = await Promise.all([gathering.reader('one'), gathering.reader('two')])
  const until = new AbortController()
  for (const { fetcher, cores } of readers) {
    fetcher.read(cores.blobs.length + 10, { signal: until.signal }).catch(() => {})
  }
  // With the exchange they are connected after some 400 ms (the test above).
  await pause(3_000)
  t.alike(readers.map(peersOf), [1, 1])
  until.abort()
})

test('introductions lead to nobody who is not on the own list', async (t) => {
  await using gathering = await Gathering.open()
  const allowed = new Set([gathering.publisher.publicKey.toString('hex')])
  const readers = [await gathering.reader('private', { allowed }), await gathering.reader('two')]
  const until = new AbortController()
  for (const { fetcher, cores } of readers) {
    fetcher.read(cores.blobs.length + 10, { signal: until.signal }).catch(() => {})
  }
  // Without the list they are connected after some 400 ms (the first test).
  await pause(3_000)
  t.alike(readers.map(peersOf), [1, 1])
  until.abort()
})

test('all finish without the publisher, once one copy is out among them', async (t) => {
  await using gathering = await Gathering.open()
  const readers = await Promise.all(
    Array.from({ length: READERS }, (_, n) => gathering.reader(`reader${n}`))
  )
  const { length } = readers[0]?.cores.blobs ?? { length: 0 }
  const part = Math.ceil(length / READERS)
  await Promise.all(
    readers.map((reader, n) => fetchAll(reader, [n * part, Math.min(part, length - n * part)]))
  )
  const held = readers.map(({ cores }) => cores.blobs.contiguousLength)
  t.ok(
    held.every((blocks) => blocks < length),
    `nobody has all: ${held.join(', ')} of ${length}`
  )
  const filling = readers.map((reader) => fetchAll(reader, [0, length]))
  // Readers that have all blocks look for nobody, and may not have met all others by then.
  const lacksSome = ({ cores }: (typeof readers)[number]): boolean =>
    cores.blobs.contiguousLength < length
  const haveMet = (): boolean => readers.every((reader) => peersOf(reader) >= READERS)
  while (!haveMet() && readers.some(lacksSome)) await pause(10)
  await gathering.endPublisher()
  await Promise.all(filling)
  for (const { cores } of readers) t.is(cores.blobs.contiguousLength, length)
})
