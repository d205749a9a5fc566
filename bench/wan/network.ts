import { mkdtemp, rm } from 'node:fs/promises'
import { readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { Machine } from '../../test/e2e/sandbox.ts'
import { Star, type StarHost, type Wire } from './star.ts'

const DHT_PORT = 49_737
const UNMOUNT_WAIT_MS = 15_000
/** A process that has unmounted what it served may note something in its home before it ends. */
const REMOVE = { recursive: true, force: true, maxRetries: 10, retryDelay: 100 } as const

/**
 * A publisher, a reader and the bootstrap node of a private DHT, each on a host of its own.
 * Disposing ends their daemons and removes their homes.
 */
export class WanNetwork implements AsyncDisposable {
  readonly star: Star
  readonly directory: string
  readonly publisher: Machine
  readonly #environment: Record<string, string>
  readonly #dht: ReturnType<Machine['start']>
  readonly #readers: Machine[] = []
  readonly #others: Machine[] = []
  readonly #wires = new Map<string, Wire>()

  private constructor(star: Star, directory: string, wire: Wire) {
    this.star = star
    this.directory = directory
    for (const { name } of star.hosts) this.#wires.set(name, wire)
    const { address } = star.host('dht')
    this.#environment = {
      DAT_CONTAINER_BOOTSTRAP: `${address}:${DHT_PORT}`,
      DAT_CONTAINER_RUNTIME_DIR: join(directory, 'run'),
      // What is measured finds its peers in the DHT.
      DAT_CONTAINER_LAN: 'no'
    }
    this.publisher = this.#machine('publisher', star.host('publisher'))
    this.#dht = this.#machine('dht', star.host('dht')).start(
      ['dht', '--host', address, '--port', String(DHT_PORT)],
      { buffer: false }
    )
  }

  /** @param others names of further hosts */
  static async open(wire: Wire, others: readonly string[] = []): Promise<WanNetwork> {
    const names = ['publisher', 'reader', 'dht', ...others]
    const star = await Star.open(Object.fromEntries(names.map((name) => [name, wire])))
    const directory = await mkdtemp(join(tmpdir(), 'dat-wan-'))
    const network = new WanNetwork(star, directory, wire)
    const lines = createInterface({ input: network.#dht.stdout as Readable })
    const first = await lines[Symbol.asyncIterator]().next()
    // What it says later is nobody's.
    network.#dht.stdout?.resume()
    if (first.done === true) {
      await network[Symbol.asyncDispose]()
      throw new Error('the DHT’s bootstrap node did not start')
    }
    return network
  }

  get reader(): StarHost {
    return this.star.host('reader')
  }

  /** All links alike. */
  async reshape(wire: Wire): Promise<void> {
    await this.reshapeEach(Object.fromEntries(this.star.hosts.map(({ name }) => [name, wire])))
  }

  /** Each host's link by its name; those that are not named keep theirs. */
  async reshapeEach(wires: Readonly<Record<string, Wire>>): Promise<void> {
    for (const [name, wire] of Object.entries(wires)) {
      this.star.host(name)
      this.#wires.set(name, wire)
    }
    await this.star.reshape(this.star.hosts.map(({ name }) => this.#wires.get(name)!))
  }

  /** A machine on a host of that name, which lives as long as this or until {@link endMachine}. */
  newMachine(hostName: string): Machine {
    const machine = this.#machine(hostName, this.star.host(hostName), {
      DAT_CONTAINER_RUNTIME_DIR: join(this.directory, `run-${hostName}`)
    })
    this.#others.push(machine)
    return machine
  }

  /** Ends what a machine of {@link newMachine} runs, and removes its home. */
  async endMachine(machine: Machine): Promise<void> {
    await machine.shutDown()
    await this.unmounted(machine)
    await rm(machine.home, REMOVE)
    this.#others.splice(this.#others.indexOf(machine), 1)
  }

  /** A machine on the reader's host that knows nothing yet. */
  newReader(name: string): Machine {
    const machine = this.#machine(name, this.reader)
    this.#readers.push(machine)
    return machine
  }

  /** Returns once nothing of a machine's is mounted. */
  async unmounted(machine: Machine): Promise<void> {
    await unmounted(machine.home, this.directory)
  }

  /** Ends a reader's containers and daemon, and forgets what it holds. */
  async endReader(machine: Machine): Promise<void> {
    await machine.shutDown()
    await this.unmounted(machine)
    await rm(machine.home, REMOVE)
    this.#readers.splice(this.#readers.indexOf(machine), 1)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      for (const reader of this.#readers) await reader.shutDown()
      for (const other of [...this.#others, this.publisher]) await other.run('daemon', 'stop')
      this.#dht.kill('SIGTERM')
      await this.#dht
      await unmounted(this.directory)
      await rm(this.directory, REMOVE)
    } finally {
      await this.star[Symbol.asyncDispose]()
    }
  }

  #machine(name: string, host: StarHost, more: Record<string, string> = {}): Machine {
    return new Machine(join(this.directory, name), { ...this.#environment, ...more }, host.prefix)
  }
}

/** A mounter lingers a moment after its last lease. Nothing is removed below a live mount. */
async function unmounted(...directories: readonly string[]): Promise<void> {
  const deadline = Date.now() + UNMOUNT_WAIT_MS
  const mounts = (): string => readFileSync('/proc/self/mountinfo', 'utf8')
  while (directories.some((directory) => mounts().includes(`${directory}/`))) {
    if (Date.now() > deadline) throw new Error(`something is still mounted in ${directories[0]}`)
    await sleep(50)
  }
}
