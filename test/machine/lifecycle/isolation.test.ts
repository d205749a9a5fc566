import test from 'brittle'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { createServer, type AddressInfo, type Server } from 'node:net'
import { networkInterfaces } from 'node:os'
import { readHierarchies } from '../../../src/core/host/cgroup-hierarchies.ts'
import { guardLoopback, removeGuard } from '../../../src/machine/qemu/loopback-guard.ts'
import { removeMachine } from '../../../src/machine/lifecycle/stop-machine.ts'
import { startMachine } from '../../../src/machine/lifecycle/start-machine.ts'
import { LONG } from '../../e2e/sandbox.ts'
import { MachineSandbox, whyNoGuest } from '../machine-fixture.ts'
import { standInGuest } from '../stand-in-guest.ts'

const reason = whyNoGuest()
const skip = reason !== undefined
/** A test that is left out tells why. */
const titled = (title: string): string => (skip ? `${title} (${reason})` : title)
/** An address of this machine that is not of its loopback, as everything else of the world. */
const OUTWARD = Object.values(networkInterfaces())
  .flatMap((addresses) => addresses ?? [])
  .find(({ family, internal }) => family === 'IPv4' && !internal)?.address

async function listen(host: string): Promise<{ server: Server; port: number }> {
  const server = createServer((socket) => socket.on('error', () => {}).end('reached'))
  server.listen(0, host)
  await once(server, 'listening')
  return { server, port: (server.address() as AddressInfo).port }
}

void test('a guarded process reaches one port of loopback, and the world', LONG, async (t) => {
  const [daemon, other, six] = await Promise.all(['127.0.0.1', '127.0.0.1', '::1'].map(listen))
  const world = OUTWARD === undefined ? undefined : await listen(OUTWARD)
  const all = [daemon, other, six, world].filter((one) => one !== undefined)
  t.teardown(() => all.forEach(({ server }) => void server.close()))
  const ways: [string, number | undefined][] = [
    ['127.0.0.1', daemon?.port],
    ...['127.0.0.1', '0.0.0.0', '::ffff:127.0.0.1', '::ffff:0.0.0.0'].map(
      (host): [string, number | undefined] => [host, other?.port]
    ),
    ...['::1', '::'].map((host): [string, number | undefined] => [host, six?.port]),
    ...(OUTWARD === undefined ? [] : [[OUTWARD, world?.port] as [string, number | undefined]])
  ]
  const place = { homeId: 'guard-test', name: `machine.${process.pid}` }
  for (const guarded of [false, true]) {
    const child = spawn('bash', ['-c', `read go; ${ways.map(script).join('')} :`], {
      stdio: ['pipe', 'pipe', 'ignore']
    })
    if (guarded) t.is(await guardLoopback(child.pid ?? 0, place, daemon?.port), undefined)
    child.stdin.end('\n')
    const said = (await child.stdout.toArray()).join('').trim().split('\n')
    const reached = ways.map(([host], index) =>
      guarded && index > 0 && host !== OUTWARD ? 'no' : 'reached'
    )
    t.alike(said, reached, guarded ? 'with the guard' : 'without it')
  }
  await removeGuard(place)
  const left = readHierarchies().filter(({ mountPoint }) =>
    existsSync(`${mountPoint}/dat-container/${place.homeId}`)
  )
  t.alike(left, [], 'nothing is left')
})

function script([host, port]: [string, number | undefined]): string {
  return `timeout 5 bash -c 'exec 3<>/dev/tcp/${host}/${port} && cat <&3' || echo -n no; echo; `
}

test(titled('the guest of a container alone is confined'), { ...LONG, skip }, async (t) => {
  const [daemon, other] = await Promise.all(['127.0.0.1', '127.0.0.1'].map(listen))
  const world = OUTWARD === undefined ? undefined : await listen(OUTWARD)
  const all = [daemon, other, world].filter((one) => one !== undefined)
  t.teardown(() => all.forEach(({ server }) => void server.close()))
  await using sandbox = new MachineSandbox()
  const machine = sandbox.home('only')
  process.env['DAT_CONTAINER_RUNTIME_DIR'] = `${sandbox.directory}/run`
  process.env['CALLERS_SECRET'] = 'hunter2'
  for (const isolated of [false, true]) {
    const name = isolated ? 'alone' : 'control'
    const isolates = { image: 'x', remove: false, daemonPort: daemon?.port ?? 0 }
    const started = await startMachine({
      home: machine.home,
      name,
      options: {
        ...standInGuest(),
        ...{ accelerator: 'tcg', memoryBytes: 256 * 1024 ** 2, diskBytes: 64 * 1024 ** 2 },
        ...(isolated ? { isolates } : {})
      },
      timeoutMs: 200_000
    })
    t.alike(
      started.notices.filter((line) => /loopback|sandbox/.test(line)),
      []
    )
    const reach = async (host: string, port: number | undefined): Promise<string> => {
      const command = `nc -w 5 ${host} ${port} < /dev/null || true`
      return machine.ok('machine', 'ssh', name, '--', command)
    }
    const pid = started.pid ?? 0
    t.is(await reach('10.0.2.2', daemon?.port), 'reached', `${name}: the daemon's port`)
    t.is(await reach('10.0.2.2', other?.port), isolated ? '' : 'reached', `${name}: another`)
    t.is(await reach('127.0.0.1', other?.port), '', `${name}: its own loopback`)
    if (OUTWARD !== undefined)
      t.is(await reach(OUTWARD, world?.port), 'reached', `${name}: the world`)
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    const uids = /^Uid:\s+(.*)$/m.exec(status)?.[1]?.split('\t').map(Number) ?? []
    t.is(uids.length, 4)
    if (isolated)
      t.ok(
        uids.every((uid) => uid >= 1_900_000_000),
        `${name}: no account’s user`
      )
    else t.alike(uids, [0, 0, 0, 0])
    t.is(/^CapEff:\s+(\w+)/m.exec(status)?.[1] === '0000000000000400', isolated, 'low ports alone')
    t.is(/^NoNewPrivs:\s+(\d)/m.exec(status)?.[1], '1')
    t.is(/^Seccomp:\s+(\d)/m.exec(status)?.[1], '2')
    t.absent(readFileSync(`/proc/${pid}/environ`, 'utf8').includes('hunter2'))
    const disk = 'echo kept > /dev/vda; sync; head -n 1 /dev/vda'
    t.is(await machine.ok('machine', 'ssh', name, '--', disk), 'kept', `${name}: its disk`)
    t.ok((await machine.ok('machine', 'logs', name)).includes('stand-in is up'), `${name}: its log`)
    await removeMachine({ home: machine.home, name, force: true })
  }
  t.alike(readdirSync(`${machine.home}/machines`), [])
})
