import type { EventEmitter } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'brittle'
import NoiseSecretStream from '@hyperswarm/secret-stream'
import DHT from 'hyperdht'
import type { SwarmConnection } from 'hyperswarm'
import Protomux from 'protomux'
import { discoveryKey } from 'hypercore-crypto'
import { freePort } from '../../src/machine/qemu/free-port.ts'
import { parseLink } from '../../src/p2p/link.ts'
import type { Shared } from './results.ts'
import { LONG, Machine, Sandbox } from './sandbox.ts'
import { tinyRootfs } from './tiny-rootfs.ts'
import { until } from '../until.ts'

type TestInstance = ReturnType<typeof test>

/** Nobody answers there: who is reached, is reached by TCP. */
const NO_DHT = { DAT_CONTAINER_BOOTSTRAP: '127.0.0.1:9' }
/** What a daemon may grow by under them all, of which most waits to be collected. One frame of each of a hundred is 1,600 MB. */
const MOST_GROWTH_KB = 300_000
const LONGEST_FRAME = Buffer.from([0xff, 0xff, 0xff])
const MIB = Buffer.alloc(1024 * 1024, 1)

/** A daemon that shares an image and listens, and one that has its link. */
class Listener implements AsyncDisposable {
  readonly publisher: Machine
  readonly reader: Machine
  readonly port: number
  readonly shared: Shared
  readonly #sandbox: Sandbox
  readonly #environment: Record<string, string>
  readonly #sockets: Socket[] = []
  #readers = 0

  private constructor(
    sandbox: Sandbox,
    { publisher, reader }: { publisher: Machine; reader: Machine },
    port: number,
    shared: Shared,
    environment: Record<string, string>
  ) {
    this.#environment = environment
    this.#sandbox = sandbox
    this.publisher = publisher
    this.reader = reader
    this.port = port
    this.shared = shared
  }

  /** @param listen the address to listen at; without one, the daemon listens at a port that it chooses */
  static async open(how: 'named' | 'unasked'): Promise<Listener> {
    const sandbox = await Sandbox.open()
    const environment: Record<string, string> = {
      ...sandbox.sandboxEnvironment,
      ...(how === 'named' ? NO_DHT : {})
    }
    const [publisher, reader] = await Promise.all(
      ['publisher', 'reader'].map(
        async (name) => new Machine((await sandbox.machine(name)).home, environment)
      )
    )
    if (!publisher || !reader) throw new Error('no machines')
    const named = ['--listen', `127.0.0.1:${await freePort()}`]
    await publisher.ok('daemon', 'start', ...(how === 'named' ? named : []))
    const { listen } = await publisher.json<{ listen: string }>('daemon', 'status')
    const source = tinyRootfs(join(sandbox.directory, 'source'))
    const shared = await publisher.json<Shared>('share', source, '--name', 'tiny')
    const port = Number(listen.split(':').at(-1))
    return new Listener(sandbox, { publisher, reader }, port, shared, environment)
  }

  /** A machine that has nothing yet. */
  async newReader(): Promise<Machine> {
    const { home } = await this.#sandbox.machine(`reader-${this.#readers++}`)
    return new Machine(home, this.#environment)
  }

  get bootstrap(): string[] {
    return this.#sandbox.bootstrap.split(',')
  }

  /** Somebody who connects, from an address of this machine. */
  async stranger(from: string): Promise<Socket> {
    const socket = connect({ host: '127.0.0.1', port: this.port, localAddress: from })
    this.#sockets.push(socket)
    // Being hung up on is no error of the test.
    socket.on('error', () => {})
    await Promise.race([happens(socket, 'connect'), happens(socket, 'close')])
    return socket
  }

  /** Somebody who shakes hands with a new key pair, as anybody can. */
  async handshaken(from: string): Promise<{ stream: NoiseSecretStream; socket: Socket }> {
    const socket = await this.stranger(from)
    const stream = new NoiseSecretStream(true, socket, { keyPair: DHT.keyPair() })
    stream.on('error', () => {})
    stream.resume()
    await Promise.race([stream.opened, happens(socket, 'close')])
    return { stream, socket }
  }

  async pid(): Promise<number> {
    return (await this.publisher.json<{ pid: number }>('daemon', 'status')).pid
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await this.#sandbox[Symbol.asyncDispose]()
  }
}

function forgetPeak(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, '5')
}

/** Most memory that a process has had since {@link forgetPeak}. */
function peakKilobytes(pid: number): number {
  return Number(/^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])
}

/** Address of stranger `n` on loopback. */
const ownAddress = (n: number): string => `127.0.${1 + (n >> 7)}.${1 + (n & 127)}`

async function write(socket: Socket, data: Buffer): Promise<void> {
  if (socket.writable && !socket.write(data)) {
    await Promise.race([happens(socket, 'drain'), happens(socket, 'close')])
  }
}

/** `once` of Node.js takes an error for its own, and one that is hung up on has those. */
function happens(emitter: EventEmitter, event: string): Promise<void> {
  return new Promise((resolve) => emitter.once(event, () => resolve()))
}

async function staysBounded(
  t: TestInstance,
  listener: Listener,
  attack: () => Promise<void>
): Promise<void> {
  const pid = await listener.pid()
  forgetPeak(pid)
  const before = peakKilobytes(pid)
  await attack()
  const grown = peakKilobytes(pid) - before
  t.comment(`${grown} kB more`)
  t.ok(grown < MOST_GROWTH_KB, 'its memory stays bounded')
  t.is(await listener.pid(), pid, 'and it runs on')
  await reads(t, listener)
}

/** Somebody new, who has nothing of it. */
async function reads(t: TestInstance, listener: Listener): Promise<void> {
  const reader = await listener.newReader()
  const listed = await reader.run('ls', listener.shared.link, '/', '--peer-timeout', '20')
  t.is(listed.exitCode, 0, `who has a link reads: ${listed.stderr}`)
  await reader.run('daemon', 'stop')
}

for (const how of ['named', 'unasked'] as const) {
  test(
    `a hundred strangers that announce 16 MiB before they shake hands: ${how} port`,
    LONG,
    async (t) => {
      await using listener = await Listener.open(how)
      await staysBounded(t, listener, async () => {
        const attacks = Array.from({ length: 100 }, async (_, n) => {
          const socket = await listener.stranger(ownAddress(n))
          await write(socket, LONGEST_FRAME)
          for (let sent = 0; sent < 12; sent++) await write(socket, MIB)
        })
        await Promise.all(attacks)
      })
    }
  )
}

for (const [title, from] of [
  ['of as many addresses', ownAddress],
  ['of one address', () => '127.0.0.1']
] as const) {
  test(
    `three hundred idle strangers ${title} hold no place that somebody needs`,
    LONG,
    async (t) => {
      await using listener = await Listener.open('named')
      const strangers = Array.from({ length: 300 }, (_, n) => listener.handshaken(from(n)))
      for (const { stream } of await Promise.all(strangers)) stream.setKeepAlive(1_000)
      await reads(t, listener)
    }
  )
}

test('strangers with a key pair of their own, who know no image', LONG, async (t) => {
  await using listener = await Listener.open('named')
  await listener.reader.ok('ls', listener.shared.link, '/')
  const known = await listener.reader.json<{ connections: number }>('daemon', 'status')
  t.is(known.connections, 1, 'a peer that knows the image is connected')
  await staysBounded(t, listener, async () => {
    const attacks = Array.from({ length: 100 }, async (_, n) => {
      const { socket } = await listener.handshaken(ownAddress(n))
      await write(socket, LONGEST_FRAME)
      for (let sent = 0; sent < 12; sent++) await write(socket, MIB)
    })
    await Promise.all(attacks)
  })
  await staysBounded(t, listener, async () => {
    const attacks = Array.from({ length: 20 }, async (_, n) =>
      openChannels(await listener.handshaken(ownAddress(n)))
    )
    await Promise.all(attacks)
  })
  const { socket } = await listener.handshaken(ownAddress(500))
  t.absent(socket.destroyed)
  const isSentAway = (): boolean => socket.destroyed
  await until(t, 'one that shows nothing is sent away', isSentAway, { withinMs: 120_000 })
  const after = await listener.reader.json<{ connections: number }>('daemon', 'status')
  t.is(after.connections, 1, 'and the peer that knows the image was not')
})

/** Asks for channels of logs that do not exist, as fast as it can, until it is hung up on. */
async function openChannels({
  stream,
  socket
}: {
  stream: SwarmConnection
  socket: Socket
}): Promise<void> {
  const mux = Protomux.from(stream)
  for (let sent = 0; sent < 400_000 && !socket.destroyed; sent++) {
    const id = Buffer.alloc(32)
    id.writeUInt32LE(sent)
    mux.createChannel({ protocol: 'hypercore/alpha', id, messages: [] })?.open()
    if (sent % 1_000 === 999) await sleep(1)
  }
}

test('strangers that come by the swarm hold few places', LONG, async (t) => {
  await using listener = await Listener.open('unasked')
  const { bootstrap } = listener
  const topic = discoveryKey(parseLink(listener.shared.link).key)
  const dht = new DHT({ bootstrap, firewalled: false, ephemeral: false })
  let publisher: Buffer | undefined
  while (publisher === undefined) {
    for await (const { peers } of dht.lookup(topic)) publisher ??= peers[0]?.publicKey
  }
  const streams: SwarmConnection[] = []
  for (let n = 0; n < 40; n++) {
    const stream = dht.connect(publisher, { keyPair: DHT.keyPair() })
    stream.on('error', () => {})
    streams.push(stream)
    await Promise.race([happens(stream, 'open'), happens(stream, 'close')])
  }
  while (streams.filter(({ destroyed }) => !destroyed).length > 16) await sleep(100)
  const { connections } = await listener.publisher.json<{ connections: number }>('daemon', 'status')
  t.ok(connections > 0 && connections <= 16, `${connections} are connected`)
  await reads(t, listener)
  const stay = (): boolean => streams.some(({ destroyed }) => !destroyed)
  t.ok(stay(), 'some were let in')
  await until(t, 'none of them stays', () => !stay(), { withinMs: 120_000 })
  await dht.destroy({ force: true })
})
