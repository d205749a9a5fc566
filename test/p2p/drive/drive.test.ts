import { randomBytes } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'brittle'
import Hyperdrive from 'hyperdrive'
import createTestnet from 'hyperdht/testnet.js'
import { isContainerError } from '../../../src/core/errors.ts'
import { encodeIndex } from '../../../src/image/format/index-codec.ts'
import { decodeManifest } from '../../../src/image/format/manifest-codec.ts'
import type { BlockRange } from '../../../src/p2p/transfer/block-fetcher.ts'
import { BlindMirror } from '../../../src/p2p/drive/blind-mirror.ts'
import { DriveWriter } from '../../../src/p2p/drive/drive-writer.ts'
import { EntriesThread } from '../../../src/p2p/drive/entries-thread.ts'
import { DriveSession } from '../../../src/p2p/transfer/drive-session.ts'
import { listAnew } from '../../../src/p2p/drive/list-files.ts'
import { PeerNode } from '../../../src/p2p/peers/peer-node.ts'
import { pause, peerDeadline } from '../../../src/core/abort.ts'
import { commitTree, seedTinyImage, writeTinyImage } from '../tiny-image.ts'

interface Peers extends AsyncDisposable {
  node(name: string): Promise<PeerNode>
  directory: string
}

async function openPeers(): Promise<Peers> {
  const testnet = await createTestnet(3)
  const bootstrap = testnet.bootstrap.map(({ host, port }) => `${host}:${port}`)
  const directory = mkdtempSync(join(tmpdir(), 'dat-p2p-'))
  const nodes: PeerNode[] = []
  return {
    directory,
    async node(name) {
      const node = await PeerNode.open({ storage: join(directory, name), bootstrap })
      nodes.push(node)
      return node
    },
    async [Symbol.asyncDispose]() {
      for (const node of nodes) await node[Symbol.asyncDispose]()
      await testnet.destroy()
      rmSync(directory, { recursive: true, force: true })
    }
  }
}

const soon = (): AbortSignal => peerDeadline(undefined, 20_000, 'it').signal
const FILES = { 'hello.txt': 'hello, peers', secret: 'the content nobody else may read' }

test('a drive is read by link from another peer, and the last block is its manifest', async (t) => {
  await using peers = await openPeers()
  const owner = await peers.node('owner')
  const { key, secret, manifest, tree, seeded } = await seedTinyImage(owner, FILES, soon())
  await using _seeding = seeded

  const reader = await peers.node('reader')
  await using drive = new DriveSession({ node: reader, key, secret, role: 'reader' })
  t.alike(await drive.manifest(undefined, soon()), manifest)
  const { fetcher, cores } = await drive.open(soon())
  t.is(cores.blobs.length, manifest.versions[0]?.blocks)
  t.is(fetcher.counters.demandReads, 1, 'one block told everything')
  const block = await fetcher.read(tree.chunks.block[0] ?? 0, { signal: soon() })
  t.is(block.length, tree.chunks.storedBytes[0])
  const everything: BlockRange[] = [[0, cores.blobs.length]]
  // oxlint-disable-next-line no-array-fill-with-reference-type -- not an array's fill
  await fetcher.fill(everything)
  t.ok(
    Array.from({ length: cores.blobs.length }, (_, n) => fetcher.has(n)).every(Boolean),
    'filled'
  )
})

test('an update leaves the old version readable and an abandoned one is never seen', async (t) => {
  await using peers = await openPeers()
  const owner = await peers.node('owner')
  const secret = DriveWriter.newSecret()
  const open = () => DriveWriter.open({ node: owner, namespace: 'one', secret })
  const first = await open()
  const one = await writeTinyImage(first, { a: 'one' })
  await commitTree(first, one.manifest, one.tree)
  const { key } = first
  await first[Symbol.asyncDispose]()
  await using seeded = new DriveSession({ node: owner, key, secret, role: 'owner' })
  await seeded.open(soon())

  const second = await open()
  const two = await writeTinyImage(second, { a: 'two' }, one.manifest.versions)
  await commitTree(second, two.manifest, two.tree, one.tree)
  await second[Symbol.asyncDispose]()
  const abandoned = await open()
  await writeTinyImage(abandoned, { a: 'three' }, two.manifest.versions)
  await abandoned[Symbol.asyncDispose]()

  const reader = await peers.node('reader')
  await using drive = new DriveSession({ node: reader, key, secret, role: 'reader' })
  t.alike(await drive.manifest(undefined, soon()), two.manifest, 'the newest that was committed')
  t.alike(await drive.manifest(1, soon()), one.manifest, 'an older one by its number')
  t.is(await code(drive.manifest(3, soon())), 'NOT_FOUND')
})

test('an update that was undone, whole or in part, leaves the version before readable', async (t) => {
  await using peers = await openPeers()
  const owner = await peers.node('owner')
  const secret = DriveWriter.newSecret()
  const open = () => DriveWriter.open({ node: owner, namespace: 'one', secret })
  const first = await open()
  const { manifest, tree } = await writeTinyImage(first, { a: 'one' })
  await commitTree(first, manifest, tree)
  const { key } = first
  const end = first.length
  await first[Symbol.asyncDispose]()
  await using seeded = new DriveSession({ node: owner, key, secret, role: 'owner' })
  const { cores } = await seeded.open(soon())

  const undone = await open()
  await writeTinyImage(undone, { a: 'two' }, manifest.versions)
  await undone.rollBack(end)
  await undone[Symbol.asyncDispose]()
  const reader = await peers.node('reader')
  await using drive = new DriveSession({ node: reader, key, secret, role: 'reader' })
  t.alike(await seeded.manifest(undefined, soon()), manifest, 'undone: here')
  t.alike(await drive.manifest(undefined, soon()), manifest, 'and from a peer')
  const { fetcher } = await drive.open(soon())
  t.is(fetcher.counters.demandReads, 1, 'one block told everything')

  const killed = await open()
  await writeTinyImage(killed, { a: 'three' }, manifest.versions)
  await killed[Symbol.asyncDispose]()
  await cores.blobs.clear(end, cores.blobs.length)
  const later = await peers.node('later')
  await using another = new DriveSession({ node: later, key, secret, role: 'reader' })
  t.alike(await seeded.manifest(undefined, soon()), manifest, 'undone in part: here')
  t.alike(await another.manifest(undefined, soon()), manifest, 'and from a peer')
})

test('a listing that was cut short is made whole, and a manifest does not wait for it', async (t) => {
  await using peers = await openPeers()
  const owner = await peers.node('owner')
  const secret = DriveWriter.newSecret()
  const open = () => DriveWriter.open({ node: owner, namespace: 'one', secret })
  const given = AbortSignal.abort()
  const { signal } = new AbortController()
  const first = await open()
  const one = await writeTinyImage(first, { a: 'one', b: 'one' })
  await using thread = new EntriesThread()
  t.is(await code(thread.check(new Uint8Array(encodeIndex(one.tree)), given)), 'CANCELLED')
  await using another = new EntriesThread()
  const cut = new Uint8Array(encodeIndex(one.tree).subarray(0, -3))
  t.is(await code(another.check(cut, signal)), 'BAD_INDEX')
  await first.commit(one.manifest)
  t.is(await code(first.listFiles(listAnew(one.tree), given)), 'CANCELLED')
  await first[Symbol.asyncDispose]()
  t.alike(await namesOf(owner, secret), ['/container.json'])

  const second = await open()
  t.alike(
    decodeManifest((await second.newestManifestBlock())!),
    one.manifest,
    'and yet it is complete'
  )
  await second.listFiles(listAnew(one.tree), signal)
  await second[Symbol.asyncDispose]()
  t.alike(await namesOf(owner, secret), ['/container.json', '/rootfs/a', '/rootfs/b'])

  const third = await open()
  const two = await writeTinyImage(third, { b: 'two', c: 'two' }, one.manifest.versions)
  await third.commit(two.manifest)
  const { length } = third
  await third.listFiles(listAnew(two.tree), signal)
  await third.listFiles(listAnew(two.tree), signal)
  t.is(third.length, length, 'the manifest is still the last block of the content')
  await third[Symbol.asyncDispose]()
  t.alike(await namesOf(owner, secret), ['/container.json', '/rootfs/b', '/rootfs/c'])
})

/** Nobody else may have it open. */
async function namesOf(owner: PeerNode, secret: Buffer): Promise<string[]> {
  const drive = new Hyperdrive(owner.store.namespace('one'), { encryptionKey: secret })
  const names: string[] = []
  for await (const entry of drive.list('/')) names.push(entry.key)
  await drive.close()
  return names.toSorted()
}

test('versions that the newest manifest lists no more are found through the oldest it lists', async (t) => {
  await using peers = await openPeers()
  const owner = await peers.node('owner')
  const secret = DriveWriter.newSecret()
  await using writer = await DriveWriter.open({ node: owner, namespace: 'one', secret })
  let before: Awaited<ReturnType<typeof writeTinyImage>> | undefined
  for (let n = 1; n <= 7; n++) {
    const history = before?.manifest.versions ?? []
    const image = await writeTinyImage(writer, { a: `${n}` }, history)
    const versions = image.manifest.versions.map((record, i, all) =>
      i === all.length - 1 ? { ...record, version: n } : record
    )
    const manifest = { ...image.manifest, version: n, versions: versions.slice(-3) }
    await commitTree(writer, manifest, image.tree, before?.tree)
    before = { ...image, manifest }
  }
  await using seeded = new DriveSession({ node: owner, key: writer.key, secret, role: 'owner' })
  const found = [1, 2, 3, 4, 5, 6, 7].map((n) => seeded.manifest(n, soon()))
  t.alike(
    (await Promise.all(found)).map(({ version }) => version),
    [1, 2, 3, 4, 5, 6, 7]
  )
  t.is(await code(seeded.manifest(8, soon())), 'NOT_FOUND')
  t.is(await code(seeded.manifest(0, soon())), 'NOT_FOUND')
})

test('a wrong secret, a drive without an image and absent peers are told apart', async (t) => {
  await using peers = await openPeers()
  const owner = await peers.node('owner')
  const { key, secret, seeded } = await seedTinyImage(owner, FILES, soon())
  await using _seeding = seeded
  const other = new Hyperdrive(owner.store.namespace('two'), { encryptionKey: secret })
  await other.put('/readme', Buffer.from('no image'))
  await using seededOther = new DriveSession({ node: owner, key: other.key, secret, role: 'owner' })
  await seededOther.open(soon())

  const reader = await peers.node('reader')
  const attempt = async (tried: Buffer, trySecret: Buffer, timeoutMs = 20_000): Promise<string> => {
    await using drive = new DriveSession({
      node: reader,
      key: tried,
      secret: trySecret,
      role: 'reader'
    })
    return await code(drive.manifest(undefined, peerDeadline(undefined, timeoutMs, 'it').signal))
  }
  // Noise decodes now and then: one try would not tell.
  for (let n = 0; n < 12; n++) t.is(await attempt(key, randomBytes(32)), 'WRONG_SECRET')
  t.is(await attempt(other.key, secret), 'NOT_AN_IMAGE')
  t.is(await attempt(randomBytes(32), secret, 1_000), 'PEERS_UNREACHABLE')
  t.is(await attempt(key, secret), 'no error', 'and the right one still opens')
  await other.close()
})

test('a blind mirror serves an image alone and holds nothing in the clear', async (t) => {
  await using peers = await openPeers()
  const owner = await peers.node('owner')
  const { key, secret, manifest, seeded } = await seedTinyImage(owner, FILES, soon())

  const mirror = await peers.node('mirror')
  await using blind = new DriveSession({ node: mirror, key, secret: undefined, role: 'reader' })
  const { cores, fetcher } = await blind.open(soon())
  await using _following = new BlindMirror(cores)
  while (!Array.from({ length: cores.blobs.length }, (_, n) => fetcher.has(n)).every(Boolean)) {
    await pause(20)
  }
  while (cores.db.contiguousLength < cores.db.length) await pause(20)
  await seeded[Symbol.asyncDispose]()
  await owner[Symbol.asyncDispose]()
  await blind.announced()

  const reader = await peers.node('reader')
  await using drive = new DriveSession({ node: reader, key, secret, role: 'reader' })
  t.alike(await drive.manifest(undefined, soon()), manifest, 'read with the publisher gone')
  const bytes = Buffer.concat(allFiles(join(peers.directory, 'mirror')).map((f) => readFileSync(f)))
  for (const plain of ['hello.txt', FILES.secret, 'tiny', secret]) {
    t.absent(bytes.includes(plain), `no ${plain.toString('hex').slice(0, 12)}`)
  }
})

function allFiles(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .map((name) => join(directory, name))
    .filter((path) => statSync(path).isFile())
}

async function code(work: Promise<unknown>): Promise<string> {
  try {
    await work
    return 'no error'
  } catch (error) {
    return isContainerError(error) ? error.code : String(error)
  }
}
