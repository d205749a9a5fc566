import { connect, createServer, type Socket } from 'node:net'
import { once } from 'node:events'
import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'brittle'
import c from 'compact-encoding'
import * as fc from 'fast-check'
import FramedStream from 'framed-stream'
import ProtomuxRPC from 'protomux-rpc'
import { openHome } from '../../src/home/home.ts'
import { METHODS, PROTOCOL, type DaemonStatus } from '../../src/rpc/protocol.ts'
import { nextRequestId } from '../../src/rpc/request-id.ts'
import { RpcChannel } from '../../src/rpc/rpc.ts'
import { MounterServer, type ImageHandlers } from '../../src/boot/mounter/mounter-server.ts'
import { MountLease } from '../../src/boot/lease/mount-lease.ts'
import { ContainerError } from '../../src/core/errors.ts'
import { Sandbox } from '../e2e/sandbox.ts'
import { fullManifest } from '../image/manifests.ts'
import { fuzz, type Amount } from './fuzz.ts'
import { changedJson, jsonChanges } from './json-changes.ts'

const MINUTES_5 = { timeout: 300_000 }
const RAW = { requestEncoding: c.raw, responseEncoding: c.raw }

/** For each method that takes an object: a request that it would understand. */
const REQUESTS: Readonly<Record<string, object>> = {
  open: { image: 'nothing', peerTimeoutMs: 1, offline: true },
  close: { handle: 1 },
  fill: { handle: 1, ranges: [[0, 1]], wait: false },
  stats: { handle: 1 },
  block: { handle: 1, block: 0, timeoutMs: 1, ahead: false },
  holding: { handle: 1, blocks: 9 },
  'publish.begin': { update: 'nothing', temporary: true },
  'publish.append-slot': { slot: 0, lengths: [1] },
  'publish.commit': fullManifest(),
  mirror: { link: 'dat://nothing', name: 'nothing', peerTimeoutMs: 1 },
  gc: { image: 'nothing', keep: 1, pinned: [{ key: 'nothing', version: 1 }], dryRun: true },
  forget: { image: 'nothing' }
}
/** Whatever is sent, there is an answer, and others are served: no case may end otherwise. */
const all = (cases: number): Amount => ({ cases, accepted: cases })
/** As each request begins. */
const ID = c.encode(c.buffer, Buffer.from(nextRequestId()))
const NAMES = Object.values(METHODS).map(({ name }) => name)

test('whatever comes on its socket, a daemon serves the others', MINUTES_5, async (t) => {
  await using sandbox = await Sandbox.open()
  process.env['DAT_CONTAINER_RUNTIME_DIR'] = join(sandbox.directory, 'run')
  const machine = await sandbox.machine('only')
  const { pid } = await machine.json<DaemonStatus>('daemon', 'start')
  const { daemonSocket } = openHome(machine.home)
  // One client is there all the time.
  const socket = connect(daemonSocket)
  const others = new RpcChannel(socket)
  const stillServes = async (): Promise<void> => {
    const status = await others.request(METHODS.status, null)
    if (status.pid !== pid) throw new Error('it is another daemon')
  }

  const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array))
  const messages = fc.record({ method: fc.constantFrom(...NAMES, 'nothing', '__proto__'), bytes })
  await fuzz(t, all(1_000), messages, async ({ method, bytes: message }) => {
    if (method === 'shutdown') return
    await using client = await Client.connect(daemonSocket)
    await client.answer(method, message)
    await client.answer(method, Buffer.concat([ID, message]))
    await stillServes()
  })
  t.comment('a request that is no JSON, or no list of blocks')

  const changed = fc.record({ method: fc.constantFrom(...Object.keys(REQUESTS)), jsonChanges })
  await fuzz(t, all(1_500), changed, async ({ method, jsonChanges: changes }) => {
    const text = changedJson(JSON.stringify(REQUESTS[method]), changes)
    await using client = await Client.connect(daemonSocket)
    await client.answer(method, Buffer.concat([ID, c.encode(c.json, JSON.parse(text))]))
    await stillServes()
  })
  t.comment('a request with values of other kinds')

  const frames = fc.array(
    fc.oneof(
      bytes.map(framed),
      // A control message, a message on the first channel.
      bytes.map((rest) => framed(Buffer.concat([Buffer.from([0, 1]), rest]))),
      bytes.map((rest) => framed(Buffer.concat([Buffer.from([1, 0]), rest]))),
      fc.nat(3).map((type) => framed(Buffer.from([0, type, 0, 0]))),
      fc.constant(opening()),
      fc.constant(framed(Buffer.alloc(100_000, 1))),
      // Longer than what follows, and than any memory.
      fc.constantFrom(Buffer.from([9, 0, 0, 0]), Buffer.from([255, 255, 255, 255])),
      bytes
    ),
    { minLength: 1, maxLength: 4 }
  )
  const ends = fc.constantFrom('end', 'destroy', 'half-open')
  const kept: Socket[] = []
  await fuzz(t, all(700), fc.tuple(frames, ends), async ([list, end]) => {
    const raw = connect(daemonSocket)
    raw.on('error', () => {})
    raw.resume()
    await once(raw, 'connect')
    for (const frame of list) raw.write(frame)
    if (end === 'end') raw.end()
    else if (end === 'destroy') raw.destroySoon()
    else kept.push(raw)
    await stillServes()
  })
  for (const raw of kept) raw.destroy()
  t.comment('bytes that are no frames, frames that are no messages, clients that go in the middle')

  await sleep(100)
  await stillServes()
  const after = await machine.json<DaemonStatus>('daemon', 'status')
  t.is(after.pid, pid, 'it is the same daemon')
  t.alike(await machine.json('images'), [], 'and it took nothing in')
  socket.destroy()
})

test('an error of another release is a failure', MINUTES_5, async (t) => {
  await using sandbox = await Sandbox.open()
  process.env['DAT_CONTAINER_RUNTIME_DIR'] = join(sandbox.directory, 'run')
  const machine = await sandbox.machine('only')
  const { daemonSocket } = openHome(machine.home)
  let code = ''
  const server = createServer((socket) => {
    const channel = new RpcChannel(socket)
    channel.respond(METHODS.images, () => {
      throw Object.assign(new ContainerError('IO', 'something new'), { code })
    })
    // The sandbox shuts it down.
    channel.respond(METHODS.shutdown, () => null)
  })
  server.listen(daemonSocket)
  await once(server, 'listening')
  for (const [sent, status] of [
    ['NOT_FOUND', 3],
    ['FROM_THE_FUTURE', 1],
    ['constructor', 1],
    ['', 1]
  ] as const) {
    code = sent
    const ran = await machine.run('images')
    t.is(ran.exitCode, status, `${sent}: ${ran.stderr}`)
  }
  server.close()
  await rm(daemonSocket, { force: true })
})

test('whatever comes on its socket, a mounter serves the others', MINUTES_5, async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'dat-mounter-socket-'))
  const path = join(directory, 'socket')
  const refuse = async (): Promise<never> => {
    throw new TypeError('no mount here')
  }
  const handlers = new Proxy({} as ImageHandlers, {
    get: () => refuse,
    getOwnPropertyDescriptor: (_target, name) =>
      name === 'bind' || name === 'stats'
        ? { value: refuse, configurable: true, enumerable: true }
        : undefined
  })
  const uncaught: unknown[] = []
  const onUncaught = (error: unknown): void => void uncaught.push(error)
  process.on('unhandledRejection', onUncaught)
  await using _server = await MounterServer.listen(path, handlers, () => {})
  const other = await MountLease.connect(path)
  const lines = fc.oneof(
    fc.jsonValue().map((value) => JSON.stringify(value)),
    fc
      .record({
        id: fc.jsonValue(),
        method: fc.constantFrom('bind', 'constructor', 5),
        params: fc.jsonValue()
      })
      .map((value) => JSON.stringify(value)),
    fc.string({ unit: 'binary' }),
    fc.constant('{"id":1,"method":"bi')
  )
  await fuzz(t, all(1_000), fc.array(lines, { minLength: 1, maxLength: 3 }), async (list) => {
    const socket = connect(path)
    socket.on('error', () => {})
    await once(socket, 'connect')
    const answered = once(socket, 'data')
    socket.end(`${list.join('\n')}\n{"id":7,"method":"bind","params":{}}\n`)
    await answered
    socket.destroy()
    const said = await other!.stats().catch((error: Error) => error.message)
    if (said !== 'no mount here') throw new Error(`the other is told ${JSON.stringify(said)}`)
  })
  await other![Symbol.asyncDispose]()
  process.off('unhandledRejection', onUncaught)
  t.alike(uncaught, [], 'nothing was left uncaught')
  await rm(directory, { recursive: true, force: true })
})

/** A client that sends what it is told to. */
class Client implements AsyncDisposable {
  readonly #socket: Socket
  readonly #rpc: ProtomuxRPC

  private constructor(socket: Socket) {
    this.#socket = socket
    const framed = new FramedStream(socket)
    framed.on('error', () => {})
    this.#rpc = new ProtomuxRPC(framed, { protocol: PROTOCOL })
  }

  static async connect(path: string): Promise<Client> {
    const socket = connect(path)
    await once(socket, 'connect')
    return new Client(socket)
  }

  /** Resolves when there was an answer, whatever it was. */
  async answer(method: string, message: Buffer): Promise<void> {
    try {
      await this.#rpc.request(method, message, RAW)
    } catch (error) {
      const code = (error as { code?: string }).code
      if (code !== 'REQUEST_ERROR' && code !== 'UNKNOWN_METHOD') throw error
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.destroy()
  }
}

function framed(message: Buffer): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32LE(message.length)
  return Buffer.concat([length, message])
}

/** The message that opens the channel that both ends have. */
function opening(): Buffer {
  const protocol = Buffer.from(PROTOCOL)
  return framed(
    Buffer.concat([Buffer.from([0, 1, 1, protocol.length]), protocol, Buffer.from([0])])
  )
}
