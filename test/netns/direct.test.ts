import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline/promises'
import test from 'brittle'
import { execa } from 'execa'
import { createNetworkPair, type NetworkHost } from '../../scripts/network-pair.ts'
import { evenWire } from '../../bench/wan/star.ts'
import { leftAfter, snapshot } from '../boot/leftovers.ts'
import type { Shared } from '../e2e/results.ts'
import { LONG, Machine } from '../e2e/sandbox.ts'
import { pullOverLink } from './pull-over-link.ts'

const FILES = 300
const FILE_BYTES = 60_000

interface Status {
  readonly listen: string | null
  readonly connections: number
  readonly direct: number
  readonly directBytesRead: number
}

/** A host whose answers by TCP are lost on the way, as behind a firewall. */
async function loseTcp({ prefix }: NetworkHost, what: 'add' | 'delete'): Promise<void> {
  const [program = '', ...rest] = prefix
  await execa(program, [...rest, 'ip', 'rule', what, 'pref', '1', 'ipproto', 'tcp', 'blackhole'])
}

test('blocks come over TCP where that gets through, and by UDP where not', LONG, async (t) => {
  const before = snapshot()
  const directory = mkdtempSync(join(tmpdir(), 'dat-tcp-'))
  {
    await using network = await createNetworkPair('dat-tcp', '10.91.39')
    const environment = {
      DAT_CONTAINER_BOOTSTRAP: `${network.first.address}:49737`,
      DAT_CONTAINER_RUNTIME_DIR: join(directory, 'run')
    }
    const machine = (name: string, host: NetworkHost): Machine =>
      new Machine(join(directory, name), environment, host.prefix)
    const publisher = machine('publisher', network.first)
    const dht = publisher.start(['dht', '--host', network.first.address], { buffer: false })
    for await (const line of createInterface({ input: dht.stdout as NodeJS.ReadableStream })) {
      if (line.includes('bootstrap')) break
    }
    const share = async (name: string): Promise<Shared> => {
      const source = join(directory, 'sources', name, 'etc')
      mkdirSync(source, { recursive: true })
      for (let n = 0; n < FILES; n++) writeFileSync(join(source, `${n}`), randomBytes(FILE_BYTES))
      return publisher.json<Shared>('share', join(source, '..'), '--name', name)
    }
    const status = (of: Machine): Promise<Status> => of.json<Status>('daemon', 'status')

    const reader = machine('reader', network.second)
    await reader.ok('pull', (await share('first')).link)
    while ((await status(reader)).direct === 0);
    const second = await share('second')
    const { directBytesRead: already, ...found } = await status(reader)
    t.is(found.connections, 1)
    t.is(found.listen?.startsWith('0.0.0.0:'), true)
    await reader.ok('pull', second.link)
    const { directBytesRead } = await status(reader)
    t.ok(directBytesRead - already > 0.9 * second.storedBytes, 'all of it over TCP')

    await loseTcp(network.first, 'add')
    await reader.ok('pull', (await share('third')).link)
    t.is((await status(reader)).direct, 0, 'when that is lost, the rest comes all the same')
    // It would be a peer of those that come after it, on a host with them.
    await reader.shutDown()
    const late = machine('late', network.second)
    await late.ok('pull', second.link)
    const { connections, ...lost } = await status(late)
    t.is(connections > 0, true)
    t.is(lost.directBytesRead, 0, 'and all to who never had it')
    await late.shutDown()
    await loseTcp(network.first, 'delete')

    const shy = machine('shy', network.second)
    await publisher.ok('daemon', 'stop')
    await publisher.ok('daemon', 'start', '--listen', 'none')
    await shy.ok('daemon', 'start', '--listen', 'none')
    t.is((await status(shy)).listen, null)
    await shy.ok('pull', second.link)
    t.is((await status(shy)).directBytesRead, 0, 'none where nobody is to listen')

    for (const one of [shy, publisher]) await one.shutDown()
    dht.kill('SIGTERM')
    await dht
  }
  t.alike(await leftAfter(before), [], 'nothing is left')
  rmSync(directory, { recursive: true })
})

test('over a long link nothing comes twice while TCP takes over', LONG, async (t) => {
  const before = snapshot()
  const image = { files: FILES, fileBytes: FILE_BYTES, wire: evenWire(50e6, 200) }
  await pullOverLink(image, async ({ times, storedBytes, reader }) => {
    t.ok(times >= 1 && times < 1.1, `what came is ${times.toFixed(3)} times the image`)
    const { directBytesRead } = await reader.json<Status>('daemon', 'status')
    t.ok(directBytesRead > storedBytes / 2, `most of it by TCP: ${directBytesRead} bytes`)
  })
  t.alike(await leftAfter(before), [], 'nothing is left')
})
