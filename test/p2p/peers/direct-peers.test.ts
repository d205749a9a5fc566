import { mkdtempSync, rmSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'brittle'
import createTestnet from 'hyperdht/testnet.js'
import type { BlockFetcher, BlockRange } from '../../../src/p2p/transfer/block-fetcher.ts'
import { DriveWriter } from '../../../src/p2p/drive/drive-writer.ts'
import { DriveSession } from '../../../src/p2p/transfer/drive-session.ts'
import { formatPeerAddress, readPeerAddress } from '../../../src/p2p/peer-address.ts'
import { PeerNode } from '../../../src/p2p/peers/peer-node.ts'
import { isContainerError } from '../../../src/core/errors.ts'
import { peerDeadline } from '../../../src/core/abort.ts'
import { Cable } from '../cable.ts'
import { commitTree, writeTinyImage } from '../tiny-image.ts'
import { freePort } from '../../../src/machine/qemu/free-port.ts'
import { until } from '../../until.ts'

/** Nobody answers there: what comes, comes without the DHT. */
const NO_DHT = ['127.0.0.1:9']
const soon = (): AbortSignal => peerDeadline(undefined, 20_000, 'it').signal

test('an image is read from a peer whose address the link has, without a DHT', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'dat-direct-'))
  const listen = { host: '127.0.0.1', port: await freePort() }
  const open = (name: string, more = {}): Promise<PeerNode> =>
    PeerNode.open({ storage: join(directory, name), bootstrap: NO_DHT, ...more })
  {
    await using owner = await open('owner', { listen })
    const secret = DriveWriter.newSecret()
    const writer = await DriveWriter.open({ node: owner, namespace: 'one', secret })
    const { manifest, tree } = await writeTinyImage(writer, { a: 'content' })
    await commitTree(writer, manifest, tree)
    const { key } = writer
    await writer[Symbol.asyncDispose]()
    await using seeded = new DriveSession({ node: owner, key, secret, role: 'owner' })
    await seeded.open(soon())

    await using reader = await open('reader')
    await using drive = new DriveSession({ node: reader, key, secret, role: 'reader' })
    const nobody = { host: '127.0.0.1', port: await freePort() }
    drive.addPeers([nobody, listen])
    t.alike(await drive.manifest(undefined, soon()), manifest)
    t.is(await reader.dial(nobody), false, 'a peer that is not there is none')
    t.is(await reader.dial(listen), true)
    t.is(reader.traffic().connections, 1, 'one connection an address')
    t.ok(reader.traffic().bytesRead > 0)

    // Something that is no peer neither hangs the listener nor counts.
    const stranger = connect(listen.port, listen.host)
    stranger.on('error', () => {})
    stranger.write(Buffer.alloc(64, 0xff))
    await until(t, 'a stranger is hung up on', () => stranger.destroyed)
    await until(t, 'one peer is connected', () => owner.traffic().connections === 1)

    const taken = await open('third', { listen }).then(
      () => undefined,
      (error: unknown) => error
    )
    t.ok(isContainerError(taken, 'IO'), 'a port that is taken is said')
  }
  rmSync(directory, { recursive: true })
})

async function readAll(fetcher: BlockFetcher, ranges: readonly BlockRange[]): Promise<void> {
  const blocks = ranges.flatMap(([first, count]) =>
    Array.from({ length: count }, (_, n) => first + n)
  )
  await Promise.all(blocks.map((block) => fetcher.read(block, { signal: soon() })))
}

test('over two connections with one peer each block comes once', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'dat-direct-'))
  const testnet = await createTestnet(3)
  const bootstrap = testnet.bootstrap.map(({ host, port }) => `${host}:${port}`)
  const listen = { host: '127.0.0.1', port: await freePort() }
  {
    await using owner = await PeerNode.open({
      storage: join(directory, 'owner'),
      bootstrap,
      listen
    })
    await using reader = await PeerNode.open({ storage: join(directory, 'reader'), bootstrap })
    const secret = DriveWriter.newSecret()
    const writer = await DriveWriter.open({ node: owner, namespace: 'one', secret })
    const blocks = Array.from({ length: 400 }, () => randomBytes(50_000))
    await writer.append(blocks)
    const { manifest, tree } = await writeTinyImage(writer, { a: 'content' })
    await commitTree(writer, manifest, tree)
    const { key } = writer
    await writer[Symbol.asyncDispose]()
    await using seeded = new DriveSession({ node: owner, key, secret, role: 'owner' })
    await seeded.open(soon())
    await seeded.announced()
    await using drive = new DriveSession({ node: reader, key, secret, role: 'reader' })
    const { cores, fetcher } = await drive.open(soon())
    const half: BlockRange[] = [[0, 200]]
    t.is(reader.traffic().connections, 1, 'found by the DHT')
    await readAll(fetcher, half)
    // Through something that can be cut.
    const cable = await Cable.open(listen)
    drive.addPeers([cable.address])
    t.ok(await reader.dial(cable.address))
    await readAll(fetcher, [[200, 180]])
    await until(t, 'one peer, not two', () => cores.blobs.peers.length === 1)
    const { bytesRead } = reader.traffic()
    t.ok(bytesRead < 1.1 * 400 * 50_000, `${bytesRead} bytes`)

    cable.cut()
    await readAll(fetcher, [[380, 20]])
    const last = tree.chunks.block[0] ?? 0
    t.ok(await fetcher.read(last, { signal: soon() }), 'where it ends, the swarm’s takes over')
  }
  await testnet.destroy()
  rmSync(directory, { recursive: true })
})

test('addresses of peers', (t) => {
  for (const text of ['10.0.0.1:1', 'seed.example:65535', '[2001:db8::1]:7777', 'a:80']) {
    const address = readPeerAddress(text)
    t.is(address && formatPeerAddress(address), text)
  }
  for (const text of [
    '',
    ':1',
    'a',
    'a:0',
    'a:65536',
    'a:x',
    '::1:80',
    '[a]:80',
    'a b:1',
    '-a:1'
  ]) {
    t.is(readPeerAddress(text), undefined, JSON.stringify(text))
  }
})
