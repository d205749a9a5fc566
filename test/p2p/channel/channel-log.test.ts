import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'brittle'
import createTestnet from 'hyperdht/testnet.js'
import { pause, peerDeadline } from '../../../src/core/abort.ts'
import { isContainerError } from '../../../src/core/errors.ts'
import { ChannelLog } from '../../../src/p2p/channel/channel-log.ts'
import { MAX_RECORD_BYTES } from '../../../src/p2p/channel/channel-record.ts'
import { PeerNode } from '../../../src/p2p/peers/peer-node.ts'

const LONG = { timeout: 120_000 }
const soon = (): AbortSignal => peerDeadline(undefined, 60_000, 'it').signal

/** Machines on one DHT. */
class Swarm implements AsyncDisposable {
  readonly #directory = mkdtempSync(join(tmpdir(), 'dat-channel-'))
  readonly #ends: (() => Promise<unknown>)[] = []
  #bootstrap: string[] = []

  static async open(): Promise<Swarm> {
    const swarm = new Swarm()
    const testnet = await createTestnet(3)
    swarm.#ends.push(() => testnet.destroy())
    swarm.#bootstrap = testnet.bootstrap.map(({ host, port }) => `${host}:${port}`)
    return swarm
  }

  async node(name: string): Promise<PeerNode> {
    const storage = join(this.#directory, name)
    const node = await PeerNode.open({ storage, bootstrap: this.#bootstrap })
    this.#ends.push(() => node[Symbol.asyncDispose]())
    return node
  }

  async log(node: PeerNode, key: Buffer, namespace: string | null = null): Promise<ChannelLog> {
    const options = { isFollowed: () => true, onRecord: () => {}, onFork: () => {} }
    const log = new ChannelLog({ node, key, namespace, ...options })
    this.#ends.push(() => log[Symbol.asyncDispose]())
    await log.ready()
    return log
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const end of this.#ends.toReversed()) await end()
    rmSync(this.#directory, { recursive: true })
  }
}

async function answer(log: ChannelLog): Promise<string> {
  try {
    const { number, bytes } = await log.newest({ lookMs: 10_000, signal: soon() })
    return `${number} ${bytes.toString('latin1').slice(0, 20)}`
  } catch (error) {
    return isContainerError(error) ? `${error.code} ${error.message}` : String(error)
  }
}

test('the log of a channel reaches readers, and is passed on by them', LONG, async (t) => {
  await using swarm = await Swarm.open()
  const [owner, reader, late] = await Promise.all(['a', 'b', 'c'].map((name) => swarm.node(name)))
  if (!owner || !reader || !late) throw new TypeError('no nodes')
  const key = await ChannelLog.create(owner, 'mine')
  const own = await swarm.log(owner, key, 'mine')
  await own.append(Buffer.from('one'))
  const read = await swarm.log(reader, key)
  t.is(await answer(read), '1 one')
  await own.append(Buffer.from('two'))
  await own.append(Buffer.from('three'))
  // It is told of them a moment later.
  while ((await answer(read)) !== '3 three') await pause(20)
  while (!(await reader.store.get({ key }).has(0, 3))) await pause(20)
  await own[Symbol.asyncDispose]()
  t.is(await answer(await swarm.log(late, key)), '3 three')
})

test('a log that cannot be one of records is refused', LONG, async (t) => {
  await using swarm = await Swarm.open()
  const owner = await swarm.node('owner')
  const reader = await swarm.node('reader')
  const make = async (name: string, block: Buffer): Promise<[ChannelLog, ChannelLog]> => {
    const key = await ChannelLog.create(owner, name)
    const own = await swarm.log(owner, key, name)
    await own.append(block)
    return [own, await swarm.log(reader, key)]
  }
  const [, fine] = await make('fine', Buffer.alloc(MAX_RECORD_BYTES, 'x'))
  t.is(await answer(fine), `1 ${'x'.repeat(20)}`, 'the longest record is taken')
  const [, long] = await make('long', Buffer.alloc(MAX_RECORD_BYTES + 1, 'x'))
  t.is(await answer(long), 'BAD_CHANNEL the channel is refused: its records are too long')

  const [rewritten, read] = await make('rewritten', Buffer.from('first'))
  t.is(await answer(read), '1 first')
  const log = owner.store.namespace('rewritten').get({ name: 'channel' })
  await log.ready()
  await log.truncate(0)
  await rewritten.append(Buffer.from('other'))
  t.is(
    await answer(rewritten),
    'BAD_CHANNEL the channel is refused: its log was cut and written anew'
  )
  const other = await swarm.node('other')
  t.is(
    await answer(await swarm.log(other, read.key)),
    'BAD_CHANNEL the channel is refused: its log was cut and written anew'
  )
  await log.close()
})
