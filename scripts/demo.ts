/**
 * The demo: one host shares a root filesystem, another boots it by link before it has arrived.
 * Usage: node build/scripts/demo.js ROOTFS
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline/promises'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { execa, type ResultPromise } from 'execa'
import prettyBytes from 'pretty-bytes'
import { createNetworkPair, type NetworkHost } from './network-pair.ts'

const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url))
const CONTAINER = 'demo'
const rootfs = process.argv[2]
if (rootfs === undefined) throw new Error('usage: demo.js ROOTFS')

interface Shared {
  link: string
  files: number
  bytes: number
  storedBytes: number
}
interface Booted {
  mountMode: string
}
interface Stats {
  imageBytes: number
  fetchedBytes: number
  demandReads: number
  peers: number
}

const step = (text: string): void => console.log(`\n\u001b[1m==> ${text}\u001b[0m`)
const shown = (host: string, command: string): void => console.log(`${host}$ ${command}`)

class Host {
  readonly home: string
  readonly #network: NetworkHost
  readonly #bootstrap: string

  constructor(home: string, network: NetworkHost, bootstrap: string) {
    this.home = home
    this.#network = network
    this.#bootstrap = bootstrap
  }

  start(...args: string[]): ResultPromise {
    const [program = '', ...prefix] = this.#network.prefix
    return execa(program, [...prefix, process.execPath, MAIN, ...args], {
      env: { DAT_CONTAINER_HOME: this.home, DAT_CONTAINER_BOOTSTRAP: this.#bootstrap },
      stdin: 'ignore'
    })
  }

  async text(...args: string[]): Promise<string> {
    return String((await this.start(...args)).stdout)
  }

  async json<T>(...args: string[]): Promise<T> {
    return JSON.parse(await this.text('--json', ...args)) as T
  }
}

const directory = await mkdtemp(join(tmpdir(), 'dat-demo-'))
await using network = await createNetworkPair('dat-demo', '10.91.37')
const bootstrap = `${network.first.address}:49737`
const publisher = new Host(join(directory, 'publisher'), network.first, bootstrap)
const reader = new Host(join(directory, 'reader'), network.second, bootstrap)
const dht = publisher.start('dht', '--host', network.first.address)

try {
  await firstLine(dht.stdout)

  step('one host shares a Debian root filesystem')
  shown('publisher', `dat-container share ${rootfs} --name debian`)
  const shareStarted = performance.now()
  const shared = await publisher.json<Shared>('share', rootfs, '--name', 'debian')
  console.log(
    `${shared.files} files, ${prettyBytes(shared.bytes)}, stored in ` +
      `${prettyBytes(shared.storedBytes)}; ${seconds(shareStarted)}\n${shared.link}`
  )

  step('another host, in another network namespace, boots it by that link')
  await reader.text('daemon', 'start')
  shown('reader', `dat-container boot LINK --name ${CONTAINER} --detach --wait ready`)
  const bootStarted = performance.now()
  const booted = await reader.json<Booted>(
    ...['boot', shared.link, '--name', CONTAINER, '--detach', '--wait', 'ready']
  )
  const ready = seconds(bootStarted)
  const stats = await reader.json<Stats>('stats', CONTAINER)

  step('and runs a command in it')
  const command = 'systemctl is-system-running; . /etc/os-release; echo $PRETTY_NAME; uname -n'
  shown('reader', `dat-container exec ${CONTAINER} -- sh -c '${command}'`)
  console.log(await reader.text('exec', CONTAINER, '--', 'sh', '-c', command))

  step('what happened')
  const share = Math.round((100 * stats.fetchedBytes) / stats.imageBytes)
  console.log(
    [
      `image            ${prettyBytes(stats.imageBytes)} stored`,
      `fetched at ready ${prettyBytes(stats.fetchedBytes)} (${share} %), ${stats.demandReads} reads waited for a peer`,
      `time to ready    ${ready}, from the command to systemd saying so`,
      `mount mode       ${booted.mountMode}`
    ].join('\n')
  )
} finally {
  step('cleaning up')
  await Promise.allSettled([reader.text('rm', '--force', CONTAINER)])
  await Promise.allSettled([reader.text('daemon', 'stop'), publisher.text('daemon', 'stop')])
  dht.kill('SIGTERM')
  await Promise.allSettled([dht])
  await rm(directory, { recursive: true, force: true })
}

function seconds(since: number): string {
  return `${((performance.now() - since) / 1_000).toFixed(2)} s`
}

async function firstLine(stream: unknown): Promise<void> {
  for await (const line of createInterface({ input: stream as Readable })) {
    if (line !== '') return
  }
}
