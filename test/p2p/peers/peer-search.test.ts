import { mkdtempSync, rmSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'brittle'
import { discoveryKey } from 'hypercore-crypto'
import createTestnet from 'hyperdht/testnet.js'
import { DriveSession } from '../../../src/p2p/transfer/drive-session.ts'
import { PeerNode, type PeerNodeOptions } from '../../../src/p2p/peers/peer-node.ts'
import { pause, peerDeadline } from '../../../src/core/abort.ts'
import { seedTinyImage } from '../tiny-image.ts'

/** Nobody answers there. */
const NO_DHT = ['127.0.0.1:9']
const BLOCKS = 40
const soon = (): AbortSignal => peerDeadline(undefined, 90_000, 'it').signal

/** Nodes with homes of their own, on one private DHT. */
class Homes implements AsyncDisposable {
  readonly bootstrap: string[]
  readonly #directory: string
  readonly #testnet: Awaited<ReturnType<typeof createTestnet>>

  private constructor(testnet: Awaited<ReturnType<typeof createTestnet>>) {
    this.#directory = mkdtempSync(join(tmpdir(), 'dat-search-'))
    this.#testnet = testnet
    this.bootstrap = testnet.bootstrap.map(({ host, port }) => `${host}:${port}`)
  }

  static async open(): Promise<Homes> {
    return new Homes(await createTestnet(3))
  }

  node(name: string, options: Partial<PeerNodeOptions> = {}): Promise<PeerNode> {
    return PeerNode.open({
      storage: join(this.#directory, name),
      identity: join(this.#directory, `${name}.identity`),
      knownPeers: join(this.#directory, `${name}.peers`),
      bootstrap: this.bootstrap,
      ...options
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#testnet.destroy()
    rmSync(this.#directory, { recursive: true })
  }
}

test(
  'peers are found where they were, when both were started again and no DHT answers',
  { timeout: 120_000 },
  async (t) => {
    await using homes = await Homes.open()
    const blocks = Array.from({ length: BLOCKS }, () => randomBytes(1_000))
    let image: { key: Buffer; secret: Buffer }
    {
      await using owner = await homes.node('owner', { listen: 'known' })
      const seeded = await seedTinyImage(owner, { a: 'content' }, soon(), blocks)
      image = seeded
      await using reader = await homes.node('reader')
      await using drive = new DriveSession({ node: reader, ...image, role: 'reader' })
      const { fetcher } = await drive.open(soon())
      await fetcher.read(0, { signal: soon() })
      while ((await reader.knownPeers?.read(image.key))?.length !== 1) await pause(50)
      await seeded.seeded[Symbol.asyncDispose]()
    }
    const none = { bootstrap: NO_DHT }
    for (const [name, known] of [
      ['reader', true],
      ['stranger', false]
    ] as const) {
      await using reader = await homes.node(name, none)
      await using drive = new DriveSession({ node: reader, ...image, role: 'reader' })
      const limit = known ? soon() : peerDeadline(undefined, 3_000, 'it').signal
      // The owner is back a moment after somebody wants it.
      const reading = drive.open(limit).then(({ fetcher }) => fetcher.read(30, { signal: limit }))
      reading.catch(() => {})
      await pause(500)
      await using owner = await homes.node('owner', { ...none, listen: 'known' })
      await using seeded = new DriveSession({ node: owner, ...image, role: 'owner' })
      await seeded.open(soon())
      const read = await reading.catch(() => undefined)
      t.is(
        read !== undefined,
        known,
        known ? 'it is found' : 'by whoever has no address, it is not'
      )
    }
  }
)

test(
  'where the connected peer lacks a block, others are looked for',
  { timeout: 120_000 },
  async (t) => {
    await using homes = await Homes.open()
    const blocks = Array.from({ length: BLOCKS }, () => randomBytes(1_000))
    await using mirror = await homes.node('mirror')
    let image: { key: Buffer; secret: Buffer }
    let held: DriveSession
    {
      await using owner = await homes.node('owner')
      const seeded = await seedTinyImage(owner, { a: 'content' }, soon(), blocks)
      image = seeded
      held = new DriveSession({
        node: mirror,
        key: image.key,
        secret: image.secret,
        role: 'reader'
      })
      const { fetcher } = await held.open(soon())
      await fetcher.read(0, { signal: soon() })
      await held.announced()
      await seeded.seeded[Symbol.asyncDispose]()
    }
    await using reader = await homes.node('reader')
    await using drive = new DriveSession({ node: reader, ...image, role: 'reader' })
    const { cores, fetcher } = await drive.open(soon())
    await fetcher.read(0, { signal: soon() })
    t.is(cores.blobs.peers.length, 1, 'the mirror has what it has read')
    const reading = fetcher.read(30, { signal: soon() })
    // What looks at first, whoever is wanted, has ended: now others are looked for.
    await drive.announced()
    await pause(3_000)
    await using owner = await homes.node('owner')
    // It looks for nobody itself.
    await using seeded = new DriveSession({ node: owner, ...image, role: 'alone' })
    await seeded.open(soon())
    await owner.join(discoveryKey(image.key), { server: true, client: false }).flushed()
    t.alike(await reading, blocks[30], 'and comes from the owner')
    await held[Symbol.asyncDispose]()
  }
)
