import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline/promises'
import test from 'brittle'
import type { NatStatus } from '../../src/p2p/reach/nat-status.ts'
import type { NetworkHost } from '../../scripts/network-pair.ts'
import { leftAfter, snapshot } from '../boot/leftovers.ts'
import type { Shared } from '../e2e/results.ts'
import { LONG, Machine } from '../e2e/sandbox.ts'
import { until } from '../until.ts'
import { NatNetwork, type NatKind } from './nat-network.ts'

const FILES = 20
const FILE_BYTES = 60_000

interface Status {
  readonly nat: NatStatus
  readonly connections: number
  readonly direct: number
}

/** A publisher and a reader, each in a network of its own. */
class Distance implements AsyncDisposable {
  readonly network: NatNetwork
  readonly publisher: Machine
  readonly #directory: string
  readonly #machines: Machine[] = []

  private constructor(network: NatNetwork, directory: string) {
    this.network = network
    this.#directory = directory
    this.publisher = this.machine('publisher', network.hosts[0])
  }

  static async open(nats: readonly [NatKind, NatKind]): Promise<Distance> {
    const directory = mkdtempSync(join(tmpdir(), 'dat-nat-'))
    return new Distance(await NatNetwork.open(nats), directory)
  }

  machine(name: string, host: NetworkHost | undefined, more: Record<string, string> = {}): Machine {
    const environment = {
      DAT_CONTAINER_BOOTSTRAP: this.network.bootstrap,
      DAT_CONTAINER_NAT: 'auto',
      DAT_CONTAINER_RUNTIME_DIR: join(this.#directory, 'run'),
      ...more
    }
    const machine = new Machine(join(this.#directory, name), environment, host?.prefix)
    this.#machines.push(machine)
    return machine
  }

  async share(): Promise<Shared> {
    const source = join(this.#directory, 'source', 'etc')
    mkdirSync(source, { recursive: true })
    for (let n = 0; n < FILES; n++) writeFileSync(join(source, `${n}`), randomBytes(FILE_BYTES))
    return this.publisher.json<Shared>('share', join(source, '..'), '--name', 'far')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const machine of this.#machines) await machine.run('daemon', 'stop')
    await this.network[Symbol.asyncDispose]()
    rmSync(this.#directory, { recursive: true })
  }
}

/** @returns how a daemon is reached, when it has found out */
async function natOf(t: Parameters<typeof until>[0], machine: Machine): Promise<NatStatus> {
  let nat: NatStatus | undefined
  await until(t, 'it is known what is in between', async () => {
    nat = (await machine.json<Status>('daemon', 'status')).nat
    return nat.kind !== 'unknown'
  })
  if (nat === undefined) throw new Error('it is not known')
  return nat
}

test('peers behind NATs that keep their ports connect by holes', LONG, async (t) => {
  const before = snapshot()
  {
    await using distance = await Distance.open(['cone', 'cone'])
    const { publisher, network } = distance
    const { link } = await distance.share()
    const reader = distance.machine('reader', network.hosts[1])
    const pulled = await reader.run('pull', link)
    t.is(pulled.exitCode, 0, pulled.stderr)
    t.is((await reader.json<Status>('daemon', 'status')).direct, 0, 'not by TCP')
    const nat = await natOf(t, publisher)
    t.is(nat.kind, 'consistent')
    t.ok(nat.seenAt?.startsWith('44.91.77.100:'), `seen from outside at ${nat.seenAt}`)
    const doctor = await publisher.run('doctor')
    t.ok(doctor.stdout.includes('behind a NAT that keeps one port for all'), doctor.stdout)
  }
  t.alike(await leftAfter(before), [], 'nothing is left')
})

test('a NAT on one side that uses another port each time is no obstacle', LONG, async (t) => {
  const before = snapshot()
  {
    await using distance = await Distance.open(['cone', 'symmetric'])
    const { link } = await distance.share()
    const reader = distance.machine('reader', distance.network.hosts[1])
    const pulled = await reader.run('pull', link, '--peer-timeout', '90')
    t.is(pulled.exitCode, 0, pulled.stderr)
    t.is((await natOf(t, reader)).kind, 'random')
  }
  t.alike(await leftAfter(before), [], 'nothing is left')
})

test('with such NATs on both sides, the reason is told, and a relay connects', LONG, async (t) => {
  const before = snapshot()
  {
    await using distance = await Distance.open(['symmetric', 'symmetric'])
    const { network } = distance
    const { link } = await distance.share()
    const [, host] = network.hosts
    const reader = distance.machine('reader', host)
    const failed = await reader.run('pull', link, '--peer-timeout', '30')
    t.is(failed.exitCode, 4, failed.stderr)
    t.ok(
      /another port for each destination/.test(failed.stderr),
      `it is told why: ${failed.stderr}`
    )
    t.ok(failed.stderr.includes('relay'), 'and what to do')
    const doctor = await reader.run('doctor')
    t.ok(doctor.stdout.includes('another port for each destination'), doctor.stdout)
    await reader.ok('daemon', 'stop')

    const relaying = distance.machine('relay', network.relay)
    const running = relaying.start(['relay'])
    let key = ''
    for await (const line of createInterface({ input: running.stdout as NodeJS.ReadableStream })) {
      key = /^relay (\S+) on UDP port/.exec(line)?.[1] ?? ''
      break
    }
    const relayed = distance.machine('reader', host, { DAT_CONTAINER_RELAY: key })
    const pulled = await relayed.run('pull', link, '--peer-timeout', '60')
    t.is(pulled.exitCode, 0, pulled.stderr)
    running.kill('SIGINT')
    const passed = Number(/passed on (\d+) bytes/.exec(String((await running).stderr))?.[1])
    t.ok(
      passed > FILES * FILE_BYTES,
      `the relay has counted what it has passed on: ${passed} bytes`
    )
  }
  t.alike(await leftAfter(before), [], 'nothing is left')
})
