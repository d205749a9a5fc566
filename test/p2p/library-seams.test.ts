import { once } from 'node:events'
import { connect as dial, createServer, type AddressInfo, type Socket } from 'node:net'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Duplex } from 'node:stream'
import test from 'brittle'
import type Corestore from 'corestore'
import type Hypercore from 'hypercore'
import type { HotswapBlock } from 'hypercore'
import NoiseSecretStream from '@hyperswarm/secret-stream'
import Protomux from 'protomux'
import { REVIEWED, requireMethod, SEAMS, type SeamName } from '../../src/p2p/library-seams.ts'
import { until } from '../until.ts'
import { temporaryStore } from './temporary-store.ts'

const require = createRequire(import.meta.url)
const ROOT = fileURLToPath(new URL('../../..', import.meta.url))
const NAMES = Object.keys(SEAMS) as SeamName[]
const HOW_TO_MEND =
  'read what REVIEWED of src/p2p/library-seams.ts says of it again, then set the version there'

/** Classes as the libraries have them: none of the modules that replace something is loaded here. */
const Replicator = require('hypercore/lib/replicator.js')
const Core = require('hypercore/lib/core.js')
const { CoreRX } = require('hypercore-storage/lib/tx.js')
const OWNERS: Readonly<Record<string, object>> = {
  MerkleTree: require('hypercore/lib/merkle-tree.js').MerkleTree,
  Core: Core.prototype,
  Peer: Replicator.Peer.prototype,
  HotswapQueue: require('hypercore/lib/hotswap-queue.js').prototype,
  SessionState: require('hypercore/lib/session-state.js').prototype,
  CoreRX: CoreRX.prototype,
  NoiseSecretStream: require('@hyperswarm/secret-stream').prototype,
  HyperDHT: require('hyperdht').prototype,
  Protomux: require('protomux').prototype,
  FramedStream: require('framed-stream').prototype
}

type Replicating = { replicate(isInitiator: boolean): Duplex }
type Method = (this: object, ...args: unknown[]) => unknown

void test('every library with a seam has the version that was read', (t) => {
  const { dependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>
  }
  for (const [library, version] of Object.entries(REVIEWED)) {
    t.is(dependencies[library], version, `package.json pins ${library}: ${HOW_TO_MEND}`)
    const installed = JSON.parse(readFileSync(packageFile(library), 'utf8')) as { version: string }
    t.is(installed.version, version, `${library} is installed: ${HOW_TO_MEND}`)
  }
})

void test('the libraries have each method that is replaced, with its parameters', async (t) => {
  const store = await temporaryStore(t)
  const { storage } = (await logWith(store, 1)).core.state
  for (const name of NAMES) {
    const [kind = ''] = name.split('.')
    const owner = kind === 'CoreStorage' ? storage : OWNERS[kind]!
    await t.execution(() => requireMethod(name, owner), name)
  }
})

void test('a library without a method, or with another one, is refused by the name of its seam', (t) => {
  for (const name of NAMES) {
    const method = name.slice(name.indexOf('.') + 1)
    const other = (...args: [1, 2, 3, 4]): unknown => args
    Object.defineProperty(other, 'length', { value: 9 })
    for (const [owner, found] of [
      [{}, 'there is none'],
      [{ [method]: other }, 'it has 9']
    ] as const) {
      try {
        requireMethod(name, owner)
        t.fail(`${name}: taken`)
      } catch (error) {
        const text = String(error)
        const { library } = SEAMS[name]
        const isTold = [name, library, 'src/p2p/library-seams.ts', found].every((part) =>
          text.includes(part)
        )
        t.ok(isTold, text)
      }
    }
  }
})

void test('nothing else of src replaces a method of a library', (t) => {
  const files = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' }).filter(
    (name) => name.endsWith('.ts') && !name.endsWith('.d.ts') && name !== 'p2p/library-seams.ts'
  )
  t.ok(files.length > 300, `${files.length} files`)
  const methods = NAMES.map((name) => name.slice(name.indexOf('.') + 1))
  // Other things are called `read` too.
  const targets = methods.map((method) =>
    method === 'read' ? String.raw`storage\.read` : String.raw`\.${method}`
  )
  const replacing = new RegExp(
    String.raw`prototype(\.\w+|\[[^\]]+\])\s*=[^=]|const \{[^}\n]*\bprototype\b|(${targets.join('|')}) = `
  )
  t.ok(replacing.test('Core.prototype.verify = ours'))
  t.ok(replacing.test('  state.flush = async () => {'))
  const elsewhere = files.filter((name) =>
    replacing.test(readFileSync(join(ROOT, 'src', name), 'utf8'))
  )
  t.alike(elsewhere, [], 'use replaceMethod of src/p2p/library-seams.ts')
})

void test('NoiseSecretStream._onrawdata gets every byte: 3 of length, then the frame', async (t) => {
  let received = Buffer.alloc(0)
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const socket = dial((server.address() as AddressInfo).port, '127.0.0.1')
  const [accepted] = (await once(server, 'connection')) as [Socket]
  const initiator = new NoiseSecretStream(true, socket)
  // Before the stream is made: it takes the method with it.
  spy(t, NoiseSecretStream.prototype, '_onrawdata', function (this: unknown, data) {
    if (this === other) received = Buffer.concat([received, data as Buffer])
  })
  const other = new NoiseSecretStream(false, accepted)
  t.teardown(() => {
    for (const stream of [initiator, other]) stream.destroy()
    server.close()
  })
  const got: Buffer[] = []
  other.on('data', (data: Buffer) => got.push(data))
  initiator.write(Buffer.alloc(70_000, 7))
  await until(t, 'it arrives', () => Buffer.concat(got).length === 70_000)
  t.ok(received.length >= other.rawBytesRead, 'all of it went by, the handshake too')
  let frames = 0
  let at = 0
  for (; at < received.length; frames++) at += 3 + received.readUIntLE(at, 3)
  t.is(at, received.length, `${frames} frames, with nothing between them`)
})

void test('Core.verify, Peer._fulfillRequest and the limits are asked for each block', async (t) => {
  const { log, copy } = await replicating(t, 20)
  const verified: unknown[] = []
  const fulfilled: unknown[] = []
  let limit: number | undefined = 0
  let asked = 0
  spy(t, Core.prototype, 'verify', (proof) => verified.push((proof as Proof).block?.index))
  spy(t, Replicator.Peer.prototype, '_fulfillRequest', function (this: unknown, request) {
    const { msg } = request as Fulfilled
    const { remoteRequests, wireNoData } = this as Answering
    if (msg.block) fulfilled.push(msg.block.index)
    if (!remoteRequests.has(msg.id) || typeof wireNoData.send !== 'function') t.fail('not as read')
  })
  replace(t, Replicator.Peer.prototype, 'getMaxInflight', (usual) => {
    return function (this: object) {
      asked++
      return limit ?? usual.call(this)
    }
  })
  const read = copy.get(3)
  await until(t, 'the limit is asked', () => asked > 0)
  await new Promise((resolve) => setTimeout(resolve, 300))
  t.alike(fulfilled, [], 'with 0, nothing is asked for')
  limit = undefined
  for (const peer of copy.peers) copy.core.replicator.updatePeer(peer)
  t.is(String(await read), 'block 3')
  t.alike(fulfilled, [3])
  t.ok(verified.includes(3), 'its proof was checked by Core.verify')
  t.is(log.length, 20)
})

void test('SessionState.flush is waited for before peers are told', async (t) => {
  const { log, copy } = await replicating(t, 1)
  let release = (): void => {}
  const held = new Promise<void>((resolve) => (release = resolve))
  const { state } = log.core
  replace(t, state, 'flush', (usual) => {
    return async function (this: object) {
      const isStored = await usual.call(this)
      await held
      return isStored
    }
  })
  const appended = log.append([Buffer.from('more')])
  await new Promise((resolve) => setTimeout(resolve, 500))
  t.is(copy.peers[0]?.remoteLength, 1, 'the other end has not heard')
  release()
  await appended
  await until(t, 'then it hears', () => copy.peers[0]?.remoteLength === 2)
})

void test('HotswapQueue.pick yields what other peers were asked for, and since when', async (t) => {
  const { log, copy, publisher } = await replicating(t, 8)
  // A second connection with the same log is a second peer of the copy.
  const third = await temporaryStore(t)
  const again = third.get({ key: log.key })
  await again.ready()
  connect(t, publisher, third)
  await again.get(5)
  connect(t, third, copyStores.get(copy)!)
  await until(t, 'two peers', () => copy.peers.length === 2)
  let release = (): void => {}
  const held = new Promise<void>((resolve) => (release = resolve))
  replace(t, Replicator.Peer.prototype, '_fulfillRequest', (usual) => {
    return async function (this: object, ...args: unknown[]) {
      await held
      return usual.apply(this, args)
    }
  })
  // The library itself would ask the second at once.
  replace(t, Replicator.Peer.prototype, 'getMaxHotswapInflight', () => () => 0)
  const before = Date.now()
  const read = copy.get(5)
  const { hotswaps } = copy.core.replicator
  const picked = (): HotswapBlock[] => copy.peers.flatMap((peer) => [...hotswaps.pick(peer)])
  await until(t, 'it may be asked of the other', () => picked().length > 0, { pauseMs: 5 })
  const [block] = picked()
  const [asked] = block?.inflight ?? []
  t.ok(asked && asked.timestamp >= before && asked.timestamp <= Date.now(), 'by Date.now')
  t.ok(asked && copy.peers.includes(asked.peer), 'of a peer of the log')
  const asker = copy.peers.find((peer) => peer !== asked?.peer)
  t.is(asker && [...hotswaps.pick(asker)].length, 1, 'to the other')
  t.is(asked && [...hotswaps.pick(asked.peer)].length, 0, 'and not to the same once more')
  release()
  t.is(String(await read), 'block 5')
})

void test('Protomux.pair: a store pairs logs without an id, and calls notify for each name', async (t) => {
  const publisher = await temporaryStore(t)
  const log = await logWith(publisher, 2)
  const reader = await temporaryStore(t)
  const copy = reader.get({ key: log.key })
  await copy.ready()
  const pairs: [string, boolean, number][] = []
  const named: Buffer[] = []
  replace(t, Protomux.prototype, 'pair', (usual) => {
    return function (this: object, ...args: unknown[]) {
      const [channels, notify] = args as [
        { protocol: string; id?: Buffer },
        (id: Buffer) => unknown
      ]
      pairs.push([channels.protocol, channels.id !== undefined, notify.length])
      return usual.call(this, channels, async (id: Buffer) => {
        if (channels.id === undefined) named.push(id)
        // Later, as ours may.
        await new Promise((resolve) => setTimeout(resolve, 20))
        return notify(id)
      })
    }
  })
  // Its store does not have the log open any more.
  await log.close()
  await log.core.close()
  publisher.cores.map.delete(log.discoveryKey.toString('hex'))
  connect(t, publisher, reader)
  t.is(String(await copy.get(1)), 'block 1', 'it is found although notify answers later')
  t.ok(pairs.some(([protocol, hasId]) => protocol === 'hypercore/alpha' && !hasId))
  t.ok(
    named.some((id) => id.equals(copy.discoveryKey)),
    'the name is the discovery key'
  )
})

void test('Core._onconflict is called with the proof of another history, the log frozen', async (t) => {
  const primaryKey = Buffer.alloc(32, 5)
  const left = await temporaryStore(t, primaryKey)
  const right = await temporaryStore(t, primaryKey)
  const ours = await logWith(left, 1, 'left')
  const theirs = await logWith(right, 3, 'right')
  t.alike(ours.key, theirs.key, 'one key, two histories')
  const seen: { proof: Proof; isFrozen: boolean; monitors: number }[] = []
  replace(t, Core.prototype, '_onconflict', () => {
    return async function (this: object, proof: unknown) {
      const { header, monitors } = this as { header: { frozen: boolean }; monitors: unknown[] }
      seen.push({ proof: proof as Proof, isFrozen: header.frozen, monitors: monitors.length })
    }
  })
  for (const each of [ours, theirs]) each.on('conflict', () => {})
  connect(t, left, right)
  await until(t, 'it is called', () => seen.length > 0)
  const [first] = seen
  t.ok(first?.proof.upgrade?.length, 'with what the other signed')
  t.ok(first?.isFrozen, 'and nothing is served meanwhile')
  t.ok(Number.isInteger(first?.monitors))
})

void test('CoreRX: what cannot be read rejects, what is not there is null', async (t) => {
  const store = await temporaryStore(t)
  const log = await logWith(store, 1)
  const { storage } = log.core.state
  const reads = storage.read()
  const absent = reads.getTreeNode(4_000)
  const present = reads.getTreeNode(0)
  reads.tryFlush()
  t.is(await absent, null)
  t.ok((await present)?.hash)
  replace(t, CoreRX.prototype, 'getTreeNode', () => async () => {
    throw new Error('planted')
  })
  await t.exception(log.treeHash(), /planted/, 'and a log reads its nodes by it')
})

interface Proof {
  readonly block: { readonly index: number } | null
  readonly upgrade: { readonly length: number } | null
}

interface Fulfilled {
  readonly msg: { readonly id: number; readonly block: { readonly index: number } | null }
}

interface Answering {
  readonly remoteRequests: Map<number, unknown>
  readonly wireNoData: { readonly send: unknown }
}

interface Ending {
  teardown(undo: () => unknown, options?: { order: number }): void
}

/** The store that a log was taken from. */
const copyStores = new WeakMap<Hypercore, Corestore>()

/** Exchanges a method until the test ends, without the seam's own means. */
function replace(t: Ending, owner: object, name: string, make: (usual: Method) => unknown): void {
  const own = Object.getOwnPropertyDescriptor(owner, name)
  const usual = Reflect.get(owner, name) as Method
  Object.defineProperty(owner, name, { configurable: true, writable: true, value: make(usual) })
  t.teardown(
    () => {
      if (own) Object.defineProperty(owner, name, own)
      else Reflect.deleteProperty(owner, name)
    },
    { order: -1 }
  )
}

/** Has `note` see each call before the library's method does what it does. */
function spy(
  t: Ending,
  owner: object,
  name: string,
  note: (this: unknown, ...args: unknown[]) => unknown
): void {
  replace(t, owner, name, (usual) => {
    return function (this: object, ...args: unknown[]) {
      note.apply(this, args)
      return usual.apply(this, args)
    }
  })
}

async function logWith(store: Corestore, blocks: number, text = 'block'): Promise<Hypercore> {
  const log = store.get({ name: 'log' })
  await log.ready()
  await log.append(Array.from({ length: blocks }, (_, n) => Buffer.from(`${text} ${n}`)))
  return log
}

/** A log, and a copy of it in a store that is connected with the first. */
async function replicating(t: Ending, blocks: number) {
  const publisher = await temporaryStore(t)
  const log = await logWith(publisher, blocks)
  const reader = await temporaryStore(t)
  const copy = reader.get({ key: log.key })
  await copy.ready()
  copyStores.set(copy, reader)
  connect(t, publisher, reader)
  await copy.update({ wait: true })
  return { publisher, log, copy }
}

function connect(t: Ending, one: Corestore, other: Corestore): void {
  const here = (one as unknown as Replicating).replicate(true)
  const there = (other as unknown as Replicating).replicate(false)
  for (const stream of [here, there]) stream.on('error', () => {})
  here.pipe(there).pipe(here)
  t.teardown(() => void here.destroy(), { order: -1 })
}

function packageFile(library: string): string {
  const path = join(ROOT, 'node_modules', library, 'package.json')
  if (!existsSync(path)) throw new Error(`${library} is not installed`)
  return path
}
