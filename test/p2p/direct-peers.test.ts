import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'brittle'
import { DriveWriter } from '../../src/p2p/drive-writer.ts'
import { HeldDrive } from '../../src/p2p/held-drive.ts'
import { formatPeerAddress, readPeerAddress } from '../../src/p2p/peer-address.ts'
import { PeerNode } from '../../src/p2p/peer-node.ts'
import { isContainerError } from '../../src/image/errors.ts'
import { pause, peerDeadline } from '../../src/p2p/waiting.ts'
import { writeTinyImage } from './tiny-image.ts'
import { freePort } from './free-port.ts'

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
    await writer.commit(manifest, tree, undefined)
    const { key } = writer
    await writer[Symbol.asyncDispose]()
    await using seeded = new HeldDrive({ node: owner, key, secret, role: 'owner' })
    await seeded.open(soon())

    await using reader = await open('reader')
    await using drive = new HeldDrive({ node: reader, key, secret, role: 'reader' })
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
    while (!stranger.destroyed) await pause(20)
    while (owner.traffic().connections !== 1) await pause(20)
    t.pass('a stranger is hung up on')

    const taken = await open('third', { listen }).then(
      () => undefined,
      (error: unknown) => error
    )
    t.ok(isContainerError(taken, 'IO'), 'a port that is taken is said')
  }
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
