import { once } from 'node:events'
import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises'
import { get as httpGet, type IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'brittle'
import { debianRootfs } from '../e2e/rootfs.ts'
import { Machine } from '../e2e/sandbox.ts'
import { freePort } from '../../src/machine/qemu/free-port.ts'
import { cannotStart } from './guest.ts'

const reason = await cannotStart()
/** Answers every request on port 8080; a request that it did not read would have its answer reset. */
const SERVER =
  'use IO::Socket; my $s = IO::Socket::INET->new(LocalPort => 8080, Listen => 5, ReuseAddr => 1);' +
  'while (my $c = $s->accept) { while (<$c>) { last if /^\\r?$/ }' +
  'print $c "HTTP/1.0 200 OK\\r\\n\\r\\nserved in a container" }'

/** A real machine is started; without an image the reason stands in the output. */
void test(
  `boot, exec, ps, logs and stop go to a machine${reason === undefined ? '' : ` (${reason})`}`,
  { timeout: 15 * 60_000, skip: reason !== undefined },
  async (t) => {
    const directory = await mkdtemp(join(tmpdir(), 'dat-vm-'))
    t.teardown(() => rm(directory, { recursive: true, force: true }))
    const volume = join(directory, 'volume')
    await mkdir(volume)
    await writeFile(join(volume, 'file'), 'of the host')
    // Nobody answers there: what the guest gets, it gets from this machine's daemon.
    const here = new Machine(join(directory, 'home'), {
      DAT_CONTAINER_BOOTSTRAP: '127.0.0.1:9',
      DAT_CONTAINER_MACHINE_CPUS: '1',
      DAT_CONTAINER_RUNTIME_DIR: join(directory, 'run')
    })
    t.teardown(
      async () => {
        await here.run('machine', 'kill', 'vm')
        await here.run('daemon', 'stop')
      },
      { order: -1 }
    )
    await here.ok('share', debianRootfs(), '--name', 'debian')
    const vm = ['--machine', 'vm']
    const read = ['-v', `${volume}:/srv:ro`, '--', 'cat', '/srv/file']
    const brief = ['debian', '--ephemeral', '--lazy-only']
    t.is(await here.ok('boot', ...vm, ...brief, ...read), 'of the host')

    const port = await freePort()
    const served = ['-p', `${port}:8080`, '--', 'perl', '-e', SERVER]
    const booted = await here.json<{ state: string }>(
      // In software, to fetch all of an image would take most of this test.
      ...['boot', ...vm, 'debian', '-n', 'web', '-d', '--lazy-only', ...served]
    )
    t.is(booted.state, 'running')
    t.is(await answer(port), 'served in a container')
    const words = ["a 'b'", '$c', '--vm']
    const says = ['sh', '-c', 'printf "%s\\n" "$@"; exit 42', 'sh', ...words]
    const echoed = await here.run('exec', ...vm, 'web', '--', ...says)
    t.is(echoed.exitCode, 42)
    t.is(echoed.stdout, words.join('\n'), 'words stay as they are')
    t.is((await here.json<unknown[]>('ps', ...vm)).length, 1)
    const taken = await here.run('boot', ...vm, 'debian', '-p', `${port}:80`, '--', 'true')
    t.is(taken.exitCode, 1)
    t.ok(taken.stderr.includes(`${port}`), taken.stderr)
    const elsewhere = await here.run('boot', ...vm, 'debian', '-v', '/etc:/srv', '--', 'true')
    t.is(elsewhere.exitCode, 2, elsewhere.stderr)

    const waiting = here.start([
      'boot',
      ...vm,
      'debian',
      '-n',
      'fg',
      '--lazy-only',
      '--',
      ...['sh', '-c', 'echo runs; exec sleep 1000']
    ])
    // Asking again and again would keep an emulated machine from the start that it is asked about.
    await Promise.race([once(waiting.stdout!, 'data'), waiting])
    t.is((await here.json<unknown[]>('ps', ...vm)).length, 2)
    waiting.kill('SIGTERM')
    t.is((await waiting).exitCode, 143, 'a signal stops the container')
    t.is((await here.json<unknown[]>('ps', ...vm)).length, 1)
    await here.ok('stop', ...vm, 'web')
    t.is((await here.run('boot', 'debian', '-p', '1:1', '--', 'true')).exitCode, 2, 'not here')
    await here.ok('machine', 'stop', 'vm')
    t.is((await here.run('ps', ...vm)).exitCode, 1)
  }
)

/**
 * Over node:http: while the forwarder takes connections that the container does not yet,
 * `fetch` of Node 20 at times leaves its promise open with nothing that would end it.
 */
async function answer(port: number): Promise<string> {
  for (;;) {
    const page = await get(port).catch(() => undefined)
    if (page !== undefined) return page
    await sleep(250)
  }
}

async function get(port: number): Promise<string> {
  const request = httpGet({ host: '127.0.0.1', port, agent: false, timeout: 10_000 })
  request.on('timeout', () => request.destroy(new Error('no answer')))
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  return text(response)
}
