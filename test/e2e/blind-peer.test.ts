import { randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import BlindPeer from 'blind-peer'
import test from 'brittle'
import DHT from 'hyperdht'
import Hyperswarm from 'hyperswarm'
import { formatKey, parseFullLink } from '../../src/p2p/link.ts'
import { until } from '../until.ts'
import { refusal } from './channel-scene.ts'
import { foundBelow, type Needles } from './memory-search.ts'
import type { Listed, Shared } from './results.ts'
import { LONG, Sandbox, type Machine } from './sandbox.ts'

interface ListedCopies extends Listed {
  readonly blindPeers: readonly string[]
}

/** A blind peer as its package makes it, on the DHT of a sandbox. */
class Blind implements AsyncDisposable {
  readonly key: string
  readonly #server: BlindPeer
  readonly #swarm: Hyperswarm

  private constructor(server: BlindPeer, swarm: Hyperswarm) {
    this.key = formatKey(swarm.keyPair.publicKey)
    this.#server = server
    this.#swarm = swarm
  }

  static async open(
    sandbox: Sandbox,
    storage: string,
    trustedPubKeys: readonly string[]
  ): Promise<Blind> {
    const dht = new DHT({ bootstrap: sandbox.bootstrap.split(','), firewalled: false })
    const swarm = new Hyperswarm({ dht })
    const server = new BlindPeer(storage, { swarm, trustedPubKeys })
    await server.listen()
    return new Blind(server, swarm)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.close()
    await this.#swarm.destroy()
  }
}

async function hasAll(machine: Machine, name: string, peer: string): Promise<boolean> {
  const images = await machine.json<ListedCopies[]>('images')
  const found = images.find((image) => image.name === name)
  return found?.copies.some((copy) => copy.peer === peer && copy.complete) === true
}

test('a blind peer keeps an image while its publisher is away', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const publisher = await sandbox.machine('publisher')
  const reader = await sandbox.machine('reader')
  const fileName = `file-${randomBytes(12).toString('hex')}`
  const content = randomBytes(2 * 1024 * 1024)
  const share = async (name: string): Promise<Shared> => {
    const source = join(sandbox.directory, name)
    mkdirSync(source)
    writeFileSync(join(source, fileName), Buffer.concat([Buffer.from(name), content]))
    return publisher.json<Shared>('share', source, '--name', name)
  }
  const kept = await share('kept')
  const other = await share('other')
  const identity = await publisher.ok('identity')
  const storage = join(sandbox.directory, 'blind')
  await using blind = await Blind.open(sandbox, storage, [identity])

  t.ok(
    (await refusal(publisher, 'mirror', '--on', 'nobody', 'kept')).startsWith('2 USAGE: not the')
  )
  const asked = await publisher.json<ListedCopies>('mirror', '--on', blind.key, 'kept')
  t.alike(asked.blindPeers, [blind.key])
  await until(t, 'the blind peer has all of it', () => hasAll(publisher, 'kept', blind.key))

  // A later version, and after a restart.
  await publisher.ok('daemon', 'stop')
  await publisher.ok('daemon', 'start')
  writeFileSync(join(sandbox.directory, 'kept', fileName), Buffer.concat([content, content]))
  await publisher.ok('share', join(sandbox.directory, 'kept'), '--update', 'kept')
  await until(t, 'and of its next version', () => hasAll(publisher, 'kept', blind.key))
  await publisher.ok('daemon', 'stop')

  await reader.ok('pull', kept.link)
  const read = await reader.bytes('cat', kept.link, `/${fileName}`)
  t.ok(read.equals(Buffer.concat([content, content])), 'a reader has the new version from it')
  t.ok(
    (await refusal(reader, 'pull', other.link, '--peer-timeout', '5')).startsWith(
      '4 PEERS_UNREACHABLE: '
    ),
    'and nothing of what it was not asked to keep'
  )
  const needles: Needles = {
    'file name': Buffer.from(fileName),
    content: content.subarray(100_000, 100_048),
    secret: parseFullLink(kept.link).secret
  }
  t.alike(foundBelow(storage, needles), [], 'its disk has nothing that can be read')

  await publisher.ok('daemon', 'start')
  const ended = await publisher.json<ListedCopies>('mirror', '--on', 'none', 'kept')
  t.alike(ended.blindPeers, [])
})
