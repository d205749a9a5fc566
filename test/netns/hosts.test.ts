import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline/promises'
import test from 'brittle'
import { createNetworkPair } from '../../scripts/network-pair.ts'
import { leftAfter, snapshot } from '../boot/leftovers.ts'
import type { Shared } from '../e2e/results.ts'
import { LONG, Machine } from '../e2e/sandbox.ts'
import { tinyRootfs } from '../e2e/tiny-rootfs.ts'

test('two hosts with nothing but a cable: share on one, boot on the other', LONG, async (t) => {
  const before = snapshot()
  const directory = await mkdtemp(join(tmpdir(), 'dat-netns-'))
  {
    await using network = await createNetworkPair('dat-test', '10.91.38')
    const environment = {
      DAT_CONTAINER_BOOTSTRAP: `${network.first.address}:49737`,
      DAT_CONTAINER_RUNTIME_DIR: join(directory, 'run')
    }
    const publisher = new Machine(join(directory, 'a'), environment, network.first.prefix)
    const reader = new Machine(join(directory, 'b'), environment, network.second.prefix)
    const dht = publisher.start(['dht', '--host', network.first.address], { buffer: false })
    for await (const line of createInterface({ input: dht.stdout as NodeJS.ReadableStream })) {
      if (line.includes('bootstrap')) break
    }
    const source = tinyRootfs(join(directory, 'source'))
    const { link } = await publisher.json<Shared>('share', source)
    t.is(await reader.ok('boot', link, '--ephemeral', '--', 'cat', '/etc/os-release'), 'ID=tiny')
    await publisher.ok('daemon', 'stop')
    t.is(await reader.ok('cat', link, '/etc/os-release'), 'ID=tiny', 'and then without the other')
    await reader.shutDown()
    await publisher.shutDown()
    dht.kill('SIGTERM')
    await dht
  }
  t.alike(await leftAfter(before), [], 'nothing is left')
  await rm(directory, { recursive: true })
})
