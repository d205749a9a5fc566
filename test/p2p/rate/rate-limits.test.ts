import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'brittle'
import createTestnet from 'hyperdht/testnet.js'
import { peerDeadline } from '../../../src/core/abort.ts'
import { PeerNode, type PeerNodeOptions } from '../../../src/p2p/peers/peer-node.ts'
import { DriveSession, type OpenDrive } from '../../../src/p2p/transfer/drive-session.ts'
import { seedTinyImage } from '../tiny-image.ts'

const RATE = 1024 * 1024
const BLOCK_BYTES = 40_000
const BLOCKS = 800
/** What the reader that wants little reads, and how many reads it has under way. */
const MODEST_BLOCKS = 40
const MODEST_READS = 6
/** Connections and first blocks are over after this. */
const WARM_MS = 1_500
const WINDOW_MS = 6_000
const soon = (): AbortSignal => peerDeadline(undefined, 60_000, 'it').signal

/** A publisher of images, and readers of one each, on a DHT of their own. */
class Party implements AsyncDisposable {
  readonly #directory = mkdtempSync(join(tmpdir(), 'dat-rate-'))
  readonly #closing: (() => Promise<unknown>)[] = []
  #bootstrap: string[] = []
  #count = 0

  static async open(): Promise<Party> {
    const party = new Party()
    const testnet = await createTestnet(3)
    party.#closing.push(() => testnet.destroy())
    party.#bootstrap = testnet.bootstrap.map(({ host, port }) => `${host}:${port}`)
    return party
  }

  async node(options: Partial<PeerNodeOptions> = {}): Promise<PeerNode> {
    const storage = join(this.#directory, `${this.#count++}`)
    const node = await PeerNode.open({ storage, bootstrap: this.#bootstrap, ...options })
    this.#closing.push(() => node[Symbol.asyncDispose]())
    return node
  }

  async publish(node: PeerNode) {
    const blocks = Array.from({ length: BLOCKS }, () => randomBytes(BLOCK_BYTES))
    const name = `image-${this.#count++}`
    const { key, secret, seeded } = await seedTinyImage(node, { a: 'x' }, soon(), blocks, name)
    this.#closing.push(() => seeded[Symbol.asyncDispose]())
    return { key, secret }
  }

  /** Opens an image and begins to fetch all of it. */
  async fetch(node: PeerNode, image: { key: Buffer; secret: Buffer }): Promise<OpenDrive> {
    const drive = new DriveSession({ node, ...image, role: 'reader' })
    this.#closing.push(() => drive[Symbol.asyncDispose]())
    const open = await drive.open(soon())
    // oxlint-disable-next-line no-array-fill-with-reference-type -- it fetches, and fills no array
    open.fetcher.fill([[0, BLOCKS]], { eager: true }).catch(() => {})
    return open
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const close of this.#closing.toReversed()) await close()
    rmSync(this.#directory, { recursive: true })
  }
}

/** Bytes that pass in a second, over a few seconds after a start. */
async function measured(count: () => number): Promise<number> {
  await sleep(WARM_MS)
  const [before, since] = [count(), performance.now()]
  await sleep(WINDOW_MS)
  return ((count() - before) * 1_000) / (performance.now() - since)
}

for (const listen of ['known', undefined] as const) {
  const way = listen === undefined ? 'UDX' : 'TCP'

  test(
    `max-up bounds what is sent by ${way}, and readers share it`,
    { timeout: 120_000 },
    async (t) => {
      await using party = await Party.open()
      const publisher = await party.node({ listen, maxUp: RATE })
      const image = await party.publish(publisher)
      // Readers that could serve each other would need less of the publisher.
      const options = { listen, exchanges: false }
      const readers = await Promise.all([party.node(options), party.node(options)])
      const other = await party.publish(publisher)
      const opened = await Promise.all([
        party.fetch(readers[0], image),
        party.fetch(readers[1], other)
      ])
      const began = opened.map(({ fetcher }) => fetcher.counters.fetchedBytes)
      const rate = await measured(() => publisher.traffic().bytesWritten)
      t.ok(Math.abs(rate / RATE - 1) < 0.1, `${(rate / RATE).toFixed(3)} of the rate`)
      const came = opened.map(({ fetcher }, n) => fetcher.counters.fetchedBytes - (began[n] ?? 0))
      const [one = 0, two = 0] = came
      t.ok(Math.min(one, two) / Math.max(one, two) > 0.8, `${came.join(' and ')} bytes`)
    }
  )

  test(`max-down bounds what is fetched by ${way}`, { timeout: 120_000 }, async (t) => {
    await using party = await Party.open()
    const publisher = await party.node({ listen })
    const images = [await party.publish(publisher), await party.publish(publisher)]
    const reader = await party.node({ listen, maxDown: RATE })
    const opened = await Promise.all(images.map((image) => party.fetch(reader, image)))
    const began = opened.map(({ fetcher }) => fetcher.counters.fetchedBytes)
    const rate = await measured(() => reader.traffic().bytesRead)
    t.ok(Math.abs(rate / RATE - 1) < 0.1, `${(rate / RATE).toFixed(3)} of the rate`)
    const came = opened.map(({ fetcher }, n) => fetcher.counters.fetchedBytes - (began[n] ?? 0))
    const [one = 0, two = 0] = came
    t.ok(Math.min(one, two) / Math.max(one, two) > 0.8, `images share it: ${came.join(' and ')}`)
  })
}

test('a greedy reader does not take what another one asks for', { timeout: 120_000 }, async (t) => {
  await using party = await Party.open()
  const publisher = await party.node({ listen: 'known', maxUp: RATE })
  const image = await party.publish(publisher)
  const [greedy, modest] = await Promise.all([
    party.node({ listen: 'known', exchanges: false }),
    party.node({ listen: 'known', exchanges: false })
  ])
  const all = await party.fetch(greedy, image)
  await sleep(WARM_MS)
  const drive = new DriveSession({ node: modest, ...image, role: 'reader' })
  const { fetcher } = await drive.open(soon())
  const before = all.fetcher.counters.fetchedBytes
  // From the end, where the other one has nothing to pass on. A few at once, so that one always waits for its turn.
  let next = BLOCKS
  const readOn = async (): Promise<void> => {
    while (next > BLOCKS - MODEST_BLOCKS) await fetcher.read(--next, { signal: soon() })
  }
  await Promise.all(Array.from({ length: MODEST_READS }, readOn))
  const meanwhile = all.fetcher.counters.fetchedBytes - before
  const { fetchedBytes } = fetcher.counters
  await drive[Symbol.asyncDispose]()
  // Without turns, each read would wait behind all that the other one has asked for.
  t.ok(meanwhile < 3 * fetchedBytes, `${meanwhile} bytes for one, ${fetchedBytes} for the other`)
})

test(
  'a read is answered before what is fetched in the background',
  { timeout: 120_000 },
  async (t) => {
    await using party = await Party.open()
    const publisher = await party.node({ listen: 'known' })
    const images = [await party.publish(publisher), await party.publish(publisher)]
    const [filled, read] = images as [(typeof images)[0], (typeof images)[0]]
    const reader = await party.node({ listen: 'known', maxDown: RATE })
    const filling = await party.fetch(reader, filled)
    const drive = new DriveSession({ node: reader, ...read, role: 'reader' })
    const { fetcher } = await drive.open(soon())
    await sleep(WARM_MS)
    const before = filling.fetcher.counters.fetchedBytes
    for (let n = 0; n < 40; n += 2) await fetcher.read(n * 10, { signal: soon() })
    const meanwhile = filling.fetcher.counters.fetchedBytes - before
    const demanded = fetcher.counters.fetchedBytes
    await drive[Symbol.asyncDispose]()
    t.ok(meanwhile < demanded, `${meanwhile} bytes in the background, ${demanded} for reads`)
  }
)
