import test from 'brittle'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { bootDetached } from '../../../src/boot/runner/boot-detached.ts'
import { inspectContainer, stopContainer } from '../../../src/boot/containers/containers.ts'
import { execInContainer } from '../../../src/boot/containers/exec.ts'
import { NotifySocket } from '../../../src/boot/nspawn/notify-socket.ts'
import { bootPaths, containerPaths } from '../../../src/boot/state/paths.ts'
import { identify, type ProcessIdentity } from '../../../src/core/host/process-table.ts'
import { NspawnNotices } from '../../../src/boot/nspawn/readiness.ts'
import { bootFixture } from '../boot-fixture.ts'
import { scriptInitRootfs } from '../script-init.ts'

/** Only ends what hangs. */
const LONG = { timeout: 120_000 }
const LOOPS = 'while :; do sleep 0.1; done'
const FAILING = '[Service]\nType=oneshot\nExecStart=/bin/false\n'

void test(
  'an init that never says that it is ready runs, and a wait for it has an end',
  LONG,
  async (t) => {
    const { base, home } = bootFixture(t)
    process.env['DAT_CONTAINER_TEST_ROOTFS'] = scriptInitRootfs(LOOPS)
    const container = { ...base, name: 'silent' }
    const waiting = bootDetached({ container, wait: 'ready', waitTimeoutMs: 500 })
    await t.exception(waiting, /container silent runs, but has not said that it is ready/)
    const { state, ready } = await inspectContainer(home, 'silent')
    t.alike([state, ready], ['running', null], 'it goes on')
    await stopContainer({ home, name: 'silent', timeoutMs: 0 })
    t.is((await bootDetached({ container })).state, 'running', 'nobody need wait for it')
    await stopContainer({ home, name: 'silent', timeoutMs: 0 })
  }
)

void test('any init that tells its NOTIFY_SOCKET is ready when it says so', LONG, async (t) => {
  const script = `while ! [ -e /go ]; do sleep 0.05; done\nsystemd-notify --ready --no-block --pid=1\n${LOOPS}`
  const rootfs = scriptInitRootfs(script, ['systemd-notify'])
  const { base, home } = bootFixture(t, '', rootfs)
  const waiting = bootDetached({
    container: { ...base, name: 'telling' },
    wait: 'ready',
    onState: ({ state, rootfs }) => {
      if (state === 'running') writeFileSync(join(rootfs, 'go'), '')
    }
  })
  t.is((await waiting).ready, 'running')
  await stopContainer({ home, name: 'telling', timeoutMs: 0 })
})

void test('a systemd some of whose units failed is ready', LONG, async (t) => {
  const { base, home } = bootFixture(t)
  const directory = mkdtempSync(join(tmpdir(), 'dc-unit-'))
  writeFileSync(join(directory, 'fails.service'), FAILING)
  writeFileSync(join(directory, 'wants.conf'), '[Unit]\nWants=fails.service\n')
  const binds = [
    ['fails.service', '/etc/systemd/system/fails.service'],
    ['wants.conf', '/etc/systemd/system/multi-user.target.d/wants.conf']
  ].map(([name = '', target = '']) => ({ source: join(directory, name), target, readOnly: true }))
  const container = { ...base, name: 'failing', binds }
  t.is((await bootDetached({ container, wait: 'ready' })).ready, 'running')
  const argv = ['sh', '-c', 'test "$(systemctl is-system-running)" = degraded']
  t.is(await execInContainer({ home, name: 'failing', argv, stdio: 'ignore' }), 0, 'degraded')
  await stopContainer({ home, name: 'failing' })
})

void test('nobody but its nspawn says that a container is ready', LONG, async (t) => {
  const { base, home } = bootFixture(t, '', scriptInitRootfs(LOOPS))
  const container = { ...base, name: 'quiet' }
  await bootDetached({ container })
  const { notifySocket } = containerPaths(bootPaths(home), 'quiet')
  for (let times = 0; times < 20; times++) {
    tell(notifySocket, 'READY=1', 'X_NSPAWN_LEADER_PID=1')
  }
  await sleep(1500)
  t.is((await inspectContainer(home, 'quiet')).ready, null)
  await stopContainer({ home, name: 'quiet', timeoutMs: 0 })
})

void test(
  'what is said of a container counts once it is there, and from its nspawn',
  LONG,
  async (t) => {
    const path = join(mkdtempSync(join(tmpdir(), 'dc-notify-')), 'socket')
    using socket = NotifySocket.open(path)
    // systemd-notify speaks for its parent, which is this process.
    const notices = new NspawnNotices(socket, identify(process.pid) as ProcessIdentity)
    const late = (): AbortSignal => AbortSignal.timeout(100)
    tell(path, 'READY=1')
    t.is(await notices.ready(late()), undefined, 'what wraps nspawn may say so of itself')
    t.is(notices.leaderPid(), undefined)
    tell(path, 'STATUS=Container running.', 'X_NSPAWN_LEADER_PID=77')
    t.is(notices.leaderPid(), 77)
    t.is(await notices.ready(late()), undefined)
    tell(path, 'STATUS=READY=1', 'NOT_READY=1', 'READY=10')
    t.is(await notices.ready(late()), undefined, 'whole lines are read')
    tell(path, 'READY=1')
    t.is(await notices.ready(late()), 'running')
    const other = new NspawnNotices(socket, identify(1) as ProcessIdentity)
    tell(path, 'READY=1', 'X_NSPAWN_LEADER_PID=77')
    t.is(other.leaderPid(), undefined, 'another process speaks')
  }
)

void test('a socket takes what there is, and goes with its file', LONG, (t) => {
  const path = join(mkdtempSync(join(tmpdir(), 'dc-notify-')), 'socket')
  const socket = NotifySocket.open(path)
  t.alike(socket.receive(), [])
  tell(path, 'A=1', 'B=é')
  tell(path, 'C=2')
  t.alike(
    socket.receive().map(({ text }) => text),
    ['A=1\nB=é', 'C=2']
  )
  t.alike(socket.receive(), [])
  socket[Symbol.dispose]()
  socket[Symbol.dispose]()
  t.alike(socket.receive(), [])
  t.exception(() => tell(path, 'A=1'), /No such file/)
  t.exception(() => NotifySocket.open(`/tmp/${'x'.repeat(200)}`), /too long/)
  t.exception(() => NotifySocket.open('/no/such/directory'), /ENOENT/)
})

function tell(path: string, ...lines: string[]): void {
  const env = { ...process.env, NOTIFY_SOCKET: path }
  execFileSync('systemd-notify', ['--no-block', ...lines], { env, stdio: 'pipe' })
}
