import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import test from 'brittle'
import c from 'compact-encoding'
import FramedStream from 'framed-stream'
import pino from 'pino'
import ProtomuxRPC from 'protomux-rpc'
import { daemonLog } from '../../src/daemon/daemon-log.ts'
import { openHome } from '../../src/home/home.ts'
import { formatLink, ImageReference } from '../../src/p2p/link.ts'
import { METHODS, PROTOCOL } from '../../src/rpc/protocol.ts'
import { RpcChannel } from '../../src/rpc/rpc.ts'
import { requestIdOf } from '../../src/core/errors.ts'
import { until } from '../until.ts'
import { LONG, Sandbox, type Machine } from './sandbox.ts'

interface Failure {
  readonly error: { readonly code: string; readonly requestId: string | null }
}

interface Line {
  readonly level: number
  readonly msg: string
  readonly requestId?: string
  readonly method?: string
  readonly code?: string
}

test('a failed command and the daemon’s log name the same request', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  process.env['DAT_CONTAINER_RUNTIME_DIR'] = join(sandbox.directory, 'run')
  const machine = await sandbox.machine('only')
  await machine.ok('daemon', 'start')
  const failing = async (...args: string[]): Promise<Failure['error']> => {
    const { stderr } = await machine.run('--json', ...args)
    return (JSON.parse(stderr) as Failure).error
  }

  const [one, two] = await Promise.all([
    failing('cat', 'nothing', '/file'),
    failing('unseed', 'nothing')
  ])
  t.is(one.code, 'NOT_FOUND')
  t.not(one.requestId, two.requestId)
  for (const [{ requestId, code }, method] of [
    [one, 'open'],
    [two, 'forget']
  ] as const) {
    const [line, ...more] = linesOf(machine).filter((each) => each.requestId === requestId)
    t.alike(more, [], 'one line')
    t.alike([line?.method, line?.code, line?.msg], [method, code, 'request failed'])
  }
  const usage = await failing('pull', 'dat://nonsense')
  t.is(usage.requestId, null, 'nothing was asked of the daemon')

  // What a request causes has its id, too; and no secret of a link is written down.
  const [key, secret] = [randomBytes(32), randomBytes(32)]
  const link = formatLink({ key, secret, version: undefined })
  const mirror = await failing('mirror', link, '--peer-timeout', '100ms')
  t.alike(
    linesOf(machine)
      .filter(({ requestId }) => requestId === mirror.requestId)
      .map(({ msg }) => msg),
    ['mirror: nobody has the image yet', 'request failed']
  )
  await failing('pull', link, '--peer-timeout', '100ms')
  const secretText = link.split('#')[1] ?? link
  t.absent(logOf(machine).includes(secretText), 'no secret')
  t.ok(linesOf(machine).length > 4)

  // For people: where the log has more, or where they look for more.
  const plain = await machine.run('cat', 'nothing', '/file')
  t.absent(plain.stderr.includes('request '), plain.stderr)
  const debugged = await machine.run('--log-level', 'debug', 'cat', 'nothing', '/file')
  const [, told] = /; request (\S+) in the daemon's log\)/.exec(debugged.stderr) ?? []
  t.ok(told !== undefined && logOf(machine).includes(told), debugged.stderr)

  // Requests of one connection, at the same time.
  const { daemonSocket } = openHome(machine.home)
  const socket = connect(daemonSocket)
  const channel = new RpcChannel(socket)
  const ids = await Promise.all(
    ['a', 'b', 'c'].map((name) =>
      channel
        .request(METHODS.pin, { image: ImageReference.parse(name), pinned: true })
        .then(() => 'none failed', requestIdOf)
    )
  )
  t.is(new Set(ids).size, 3)
  for (const id of ids) t.ok(linesOf(machine).some(({ requestId }) => requestId === id))
  socket.destroy()

  // The level of a running daemon.
  t.absent(logOf(machine).includes('request answered'))
  await machine.ok('daemon', 'reload', '--log-level', 'debug')
  await machine.ok('images')
  await until(t, 'it logs more', () => logOf(machine).includes('request answered'))
})

test('a client cannot write to the log by its request’s id', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  process.env['DAT_CONTAINER_RUNTIME_DIR'] = join(sandbox.directory, 'run')
  const machine = await sandbox.machine('only')
  await machine.ok('daemon', 'start')
  const socket = connect(openHome(machine.home).daemonSocket)
  await once(socket, 'connect')
  const rpc = new ProtomuxRPC(new FramedStream(socket), { protocol: PROTOCOL })
  const send = async (id: string): Promise<string> => {
    const message = Buffer.concat([c.encode(c.buffer, Buffer.from(id)), c.encode(c.json, null)])
    const raw = { requestEncoding: c.raw, responseEncoding: c.raw }
    return rpc.request('status', message, raw).then(
      () => 'answered',
      (error: unknown) => ((error as Error).cause as Error).message
    )
  }
  t.is(await send('forged00-1'), 'answered', 'control: an id as it should be')
  const forged = [
    '',
    'forged00',
    'FORGED00-1',
    'forged\n{"a":1}',
    'forged00-1\n',
    '\u001b]forged-1'
  ]
  for (const id of [...forged, `forged00-${'1'.repeat(30)}`, `${'f'.repeat(200)}-1`]) {
    t.ok((await send(id)).includes('it has no id'), JSON.stringify(id))
  }
  socket.destroy()
  t.absent(/forged/i.test(logOf(machine)))
  t.is(linesOf(machine).filter(({ msg }) => msg === 'request failed').length, forged.length + 2)
})

test('a connection that fails again and again does not fill the log', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  process.env['DAT_CONTAINER_RUNTIME_DIR'] = join(sandbox.directory, 'run')
  const machine = await sandbox.machine('only')
  await machine.ok('daemon', 'start')
  const socket = connect(openHome(machine.home).daemonSocket)
  const channel = new RpcChannel(socket)
  const image = ImageReference.parse('nothing')
  for (let n = 0; n < 200; n++) {
    await channel.request(METHODS.pin, { image, pinned: true }).catch(() => {})
  }
  socket.destroy()
  t.is(linesOf(machine).filter(({ msg }) => msg === 'request failed').length, 60)
})

test('children of the daemon’s log change their level with it, which pino does since 10', (t) => {
  const written: string[] = []
  const destination = new Writable({
    write(chunk: Buffer, _encoding, done) {
      written.push(String(chunk))
      done()
    }
  })
  const log = daemonLog(destination)
  const child = log.child({ image: 'one' })
  const grandchild = child.child({ requestId: 'two' })
  grandchild.debug('not yet')
  log.level = 'debug'
  grandchild.debug('now')
  child.debug('now')
  log.level = 'error'
  child.info('no more')
  log.child({}).info('no more')
  t.is(written.length, 2, written.join(''))

  const link = `dat://${'y'.repeat(52)}#${'b'.repeat(52)}`
  child.error({ reason: link }, link)
  t.absent(written.at(-1)?.includes('#'), 'no secret')
  pino({}, destination).error({ reason: link }, link)
  t.ok(written.at(-1)?.includes('#'), 'control: without it there would be one')
})

function logOf({ home }: Machine): string {
  return readFileSync(join(home, 'daemon.log'), 'utf8')
}

function linesOf(machine: Machine): Line[] {
  return logOf(machine)
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Line)
}
