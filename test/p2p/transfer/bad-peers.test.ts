import { randomBytes } from 'node:crypto'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import test from 'brittle'
import type { CorePeer } from 'hypercore'
import createTestnet from 'hyperdht/testnet.js'
import { peerDeadline } from '../../../src/core/abort.ts'
import type { DroppedPeer } from '../../../src/p2p/peers/peer-gate.ts'
import { PeerNode } from '../../../src/p2p/peers/peer-node.ts'
import type { BlockRange } from '../../../src/p2p/transfer/block-fetcher.ts'
import { DriveSession } from '../../../src/p2p/transfer/drive-session.ts'
import { seedTinyImage } from '../tiny-image.ts'
import type { PeerPlan } from './pacing-peer-main.ts'

const PEER = fileURLToPath(new URL('./pacing-peer-main.js', import.meta.url))
const HOST = '127.0.0.1'
const NO_DHT = [`${HOST}:9`]
const BLOCKS = 400
const BLOCK_BYTES = 30_000
/** The good peer sends a block in this time, so that a pull takes as long as a bad peer needs to show itself. */
const GOOD_PACE_MS = 40
const SLOW_PACE_MS = 1_500
const LONG = { timeout: 300_000 }
const soon = (): AbortSignal => peerDeadline(undefined, 240_000, 'it').signal

/** A publisher that only hands its image to peers, which then serve it each in its manner. */
class Scene implements AsyncDisposable {
  readonly #directory = mkdtempSync(join(tmpdir(), 'dat-bad-peers-'))
  readonly #ends: (() => Promise<unknown>)[] = []
  #image!: { key: Buffer; secret: Buffer }
  #from!: number
  #count = 0

  static async open(): Promise<Scene> {
    const scene = new Scene()
    const testnet = await createTestnet(1)
    const bootstrap = testnet.bootstrap.map(({ host, port }) => `${host}:${port}`)
    const storage = join(scene.#directory, 'publisher')
    const listen = { host: HOST, port: 0 }
    const node = await PeerNode.open({ storage, bootstrap, listen, exchanges: false })
    const blocks = Array.from({ length: BLOCKS }, () => randomBytes(BLOCK_BYTES))
    const { key, secret, seeded } = await seedTinyImage(node, { a: 'x' }, soon(), blocks)
    scene.#image = { key, secret }
    scene.#from = node.tcpPort ?? 0
    scene.#ends.push(
      () => testnet.destroy(),
      () => node[Symbol.asyncDispose](),
      () => seeded[Symbol.asyncDispose]()
    )
    return scene
  }

  /** @returns its port, and what has it connect to others */
  async peer(manner: PeerPlan['manner'], paceMs = 0) {
    const { key, secret } = this.#image
    const plan: PeerPlan = {
      storage: join(this.#directory, `${this.#count++}`),
      key: key.toString('hex'),
      secret: secret.toString('hex'),
      from: this.#from,
      manner,
      paceMs
    }
    const running = spawn(process.execPath, [PEER, JSON.stringify(plan)], {
      stdio: ['pipe', 'pipe', 'inherit']
    })
    this.#ends.push(async () => {
      const ended = once(running, 'exit')
      running.kill('SIGKILL')
      await ended
    })
    for await (const line of createInterface({ input: running.stdout })) {
      return { port: Number(line), pester: (port: number) => void running.stdin.write(`${port}\n`) }
    }
    throw new Error('the peer has ended')
  }

  /** Pulls the image. @param pesters peers that connect by themselves, again and again */
  async pull(
    ports: readonly number[],
    pesters: readonly { pester(port: number): void }[] = []
  ): Promise<{ ms: number; dropped: readonly DroppedPeer[]; bytesOf: (key: string) => number }> {
    const storage = join(this.#directory, `${this.#count++}`)
    const listen = { host: HOST, port: 0 }
    await using node = await PeerNode.open({ storage, bootstrap: NO_DHT, listen, exchanges: false })
    await using drive = new DriveSession({ node, ...this.#image, role: 'reader' })
    drive.addPeers(ports.map((port) => ({ host: HOST, port })))
    const { cores, fetcher } = await drive.open(soon())
    const streams = new Map<CorePeer['stream'], string>()
    const note = ({ stream, remotePublicKey }: CorePeer): void =>
      void streams.set(stream, remotePublicKey.toString('hex'))
    for (const peer of cores.blobs.peers) note(peer)
    cores.blobs.on('peer-add', note)
    for (const peer of pesters) peer.pester(node.tcpPort ?? 0)
    const began = performance.now()
    const ranges: BlockRange[] = [[0, cores.blobs.length]]
    // oxlint-disable-next-line no-array-fill-with-reference-type -- no array is filled
    const ended = fetcher.fill(ranges, { eager: true })
    // Reads that somebody waits for, in the middle of it.
    for (let block = BLOCKS - 1; block > BLOCKS - 40; block -= 10) {
      await fetcher.read(block, { signal: soon() })
    }
    await ended
    const ms = performance.now() - began
    const isComplete = cores.blobs.contiguousLength === cores.blobs.length
    if (!isComplete) throw new Error('the pull has ended without all blocks')
    const bytesOf = (key: string): number =>
      [...streams].reduce((sum, [{ rawBytesRead }, of]) => sum + (of === key ? rawBytesRead : 0), 0)
    return { ms, dropped: [...node.dropped], bytesOf }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const end of this.#ends.toReversed()) await end()
    rmSync(this.#directory, { recursive: true })
  }
}

test('a pull completes beside peers that lie, stall or are slow', LONG, async (t) => {
  await using scene = await Scene.open()
  const good = await scene.peer('paced', GOOD_PACE_MS)
  const alone = await scene.pull([good.port])
  t.alike(alone.dropped, [])

  const liar = await scene.peer('lies')
  const beside = await scene.pull([good.port, liar.port], [liar])
  const [lied] = beside.dropped
  t.is(lied?.why, 'lied', 'who lies is dropped')
  t.ok((lied?.times ?? 0) < 6, `and comes back seldom: ${lied?.times} times`)
  const lies = beside.bytesOf(lied?.publicKey ?? '') / BLOCK_BYTES
  t.ok(lies < BLOCKS / 4, `so that what it sends is little: ${lies.toFixed(1)} blocks of ${BLOCKS}`)
  t.comment(`beside a liar ${(beside.ms / alone.ms).toFixed(2)} times as long`)

  const staller = await scene.peer('stalls')
  const waiting = await scene.pull([good.port, staller.port], [staller])
  t.alike(
    waiting.dropped.map(({ why }) => why),
    ['stalled'],
    'who announces blocks and sends none is dropped'
  )
  t.comment(`beside one that stalls ${(waiting.ms / alone.ms).toFixed(2)} times as long`)

  const slow = await scene.peer('paced', SLOW_PACE_MS)
  const shared = await scene.pull([good.port, slow.port])
  t.alike(shared.dropped, [], 'who is slow is not')
  t.comment(`beside a slow one ${(shared.ms / alone.ms).toFixed(2)} times as long`)
})
