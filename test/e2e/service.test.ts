import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'brittle'
import { execa } from 'execa'
import { leftAfter, snapshot } from '../boot/leftovers.ts'
import { LONG, Sandbox } from './sandbox.ts'
import { systemdHost, type Host } from './systemd-host.ts'

const PORT = 49_617
const SOCKET = '/run/dat-container-daemon/daemon.sock'
/** Out of 10; what remains is what a daemon is for: the network, and compiling while it runs. */
const MOST_EXPOSED = 2

/** Words that begin every script on the host within. */
const PREAMBLE = `
export DAT_CONTAINER_LAN=no
alias node=/srv/node
dat() { /srv/node "$MAIN" "$@"; }
as() { user=$1; shift; runuser -u "$user" -- env HOME=/srv/users/$user DAT_CONTAINER_SOCKET=${SOCKET} /srv/node "$MAIN" "$@"; }
`

type TestInstance = ReturnType<typeof test>

interface Ran {
  readonly exitCode?: number
  readonly stdout: string
  readonly stderr: string
}

test('daemon install --dry-run prints a unit that systemd finds nothing wrong with', async (t) => {
  await using sandbox = await Sandbox.open()
  const machine = await sandbox.machine('machine')
  const planned = await machine.json<Record<'unit' | 'config', { path: string; text: string }>>(
    ...['daemon', 'install', '--dry-run', '--max-up', '2M', '--listen', '7777']
  )
  t.is(planned.unit.path, '/etc/systemd/system/dat-container.service')
  t.ok(planned.config.text.includes('max-up = 2M\n'), 'options are settings')
  const file = join(sandbox.directory, 'dat-container.service')
  // The manual page is not installed here.
  writeFileSync(file, planned.unit.text.replace(/^Documentation=.*\n/m, ''))
  const said = execFileSync('systemd-analyze', ['verify', file], { encoding: 'utf8' })
  t.is(said, '')
  const threshold = String(MOST_EXPOSED * 10)
  execFileSync('systemd-analyze', ['security', '--offline=true', `--threshold=${threshold}`, file])
  t.exception(() => {
    writeFileSync(file, planned.unit.text.replace(/^SystemCallFilter=.*\n/gm, ''))
    execFileSync('systemd-analyze', ['security', '--offline=true', '--threshold=20', file])
  }, 'without its filter it is over the threshold')
  const wrong = await machine.run('daemon', 'install', '--dry-run', '--max-up', 'a lot')
  t.is(wrong.exitCode, 2)
})

test('daemon install makes a service for the members of a group', LONG, async (t) => {
  const before = snapshot()
  const directory = mkdtempSync(join(tmpdir(), 'dat-service-'))
  {
    await using host = await systemdHost(directory)
    await serviceOn(host, t)
  }
  rmSync(directory, { recursive: true })
  t.alike(await leftAfter(before), [], 'nothing is left')
})

async function serviceOn(host: Host, t: TestInstance): Promise<void> {
  const run = (script: string): Promise<Ran> => host.run(`${PREAMBLE}\n${script}`)
  const ok = async (script: string): Promise<string> => {
    const ran = await run(script)
    if (ran.exitCode !== 0) {
      const log = await run('journalctl -u dat-container --no-pager -n 30')
      throw new Error(`${script}: ${ran.exitCode}\n${ran.stderr}\n${log.stdout}`)
    }
    return ran.stdout
  }
  const json = async <T>(script: string): Promise<T> => JSON.parse(await ok(script)) as T
  const images = (user: string): Promise<{ name: string; link: string }[]> =>
    json(`as ${user} images --links --json`)

  await ok(`
ip link set lo up
systemd-run --unit=dht --quiet /srv/node "$MAIN" dht --port ${PORT}
mkdir -m 755 /srv/users
for user in alice bob carol; do useradd --create-home --home-dir /srv/users/$user $user; done
mkdir /srv/users/alice/tree && echo content > /srv/users/alice/tree/file && chown -R alice /srv/users/alice`)

  // By root only, and with a program that its user can run.
  const asUser = await run(`as alice daemon install`)
  t.is(asUser.exitCode, 1)
  t.ok(asUser.stderr.includes('requires root'), asUser.stderr)
  const inHome = await run(
    `mkdir /root/bin; cp /srv/node /root/bin/node; /root/bin/node "$MAIN" daemon install; code=$?; rm -r /root/bin; exit $code`
  )
  t.is(inHome.exitCode, 1)
  t.ok(inHome.stderr.includes('the service sees nothing of /root'), inHome.stderr)
  t.is((await run('getent passwd dat-container')).exitCode, 2, 'nothing has been made')

  const installed = await json<{ done: string; group: string }>(
    `dat daemon install --json --bootstrap 127.0.0.1:${PORT} --max-up 4M --member alice carol`
  )
  t.is(installed.done, 'started')
  t.is(await ok('systemctl is-enabled dat-container'), 'enabled')
  t.is(await ok(`stat -c '%U %G %a' ${SOCKET} /run/dat-container-daemon`), SOCKET_MODES)
  t.is(await ok('stat -c %a:%U /var/lib/dat-container-daemon'), '700:dat-container')

  // Members use it; others do not.
  const shared = await json<{ link: string; name: string }>(
    'as alice share /srv/users/alice/tree --name one --json'
  )
  t.alike(
    (await images('carol')).map(({ name, link }) => [name, link.split('@')[0]]),
    [['one', shared.link.split('@')[0]]],
    'members see each other’s images'
  )
  t.is(await ok('as carol cat one /file'), 'content')
  t.is(
    await ok(`export DAT_CONTAINER_SOCKET=${SOCKET}
mkdir /srv/seen; dat mount one /srv/seen > /dev/null && cat /srv/seen/file && dat umount /srv/seen > /dev/null`),
    'content',
    'root mounts from it'
  )
  const outside = await run('as bob images')
  t.not(outside.exitCode, 0)
  t.ok(outside.stderr.includes('this user may not use the daemon'), outside.stderr)
  t.is(await ok('runuser -u bob -- ls /run/dat-container-daemon 2>&1 || true'), LS_REFUSED)
  t.is((await run('ls /srv/users/alice/.local/share/dat-container/store')).exitCode, 2)
  for (const verb of ['stop', 'reload']) {
    const refused = await run(`as alice daemon ${verb}`)
    t.not(refused.exitCode, 0, `a member may not ${verb} it`)
    t.ok(refused.stderr.includes('only by root and its own user'), refused.stderr)
  }
  t.is((await run('as alice repair')).exitCode, 2)
  t.is((await run('as alice daemon run')).exitCode, 2)

  // A reader elsewhere gets it from the service, by the network.
  const reader = `env HOME=/srv/users/bob DAT_CONTAINER_BOOTSTRAP=127.0.0.1:${PORT} DAT_CONTAINER_LAN=no`
  await ok(`runuser -u bob -- ${reader} /srv/node "$MAIN" pull '${shared.link}'`)
  await ok(`runuser -u bob -- ${reader} /srv/node "$MAIN" daemon stop`)

  // Settings: reloaded where that will do, restarted where not.
  type Status = { pid: number; maxUp: number | null; maxDown: number | null; images: number }
  const status = (): Promise<Status> => json('as alice daemon status --json')
  const first = await status()
  const install = async (options = ''): Promise<string> =>
    (await json<{ done: string }>(`dat daemon install --json ${options}`)).done
  t.is(await install(), 'unchanged')
  t.is(await install('--max-down 2M'), 'reloaded')
  const reloaded = await status()
  t.is(reloaded.pid, first.pid)
  t.is(reloaded.maxUp, 4 * 1024 ** 2)
  t.is(reloaded.maxDown, 2 * 1024 ** 2)
  await ok(`sed -i 's/max-up = .*/max-up = 8M/' /etc/dat-container-daemon.conf
systemctl reload dat-container`)
  t.is((await status()).maxUp, 8 * 1024 ** 2, 'systemctl reload')
  t.is(await install('--listen 127.0.0.1:7777'), 'restarted')
  const restarted = await status()
  t.not(restarted.pid, first.pid)
  t.is(restarted.images, 1, 'a restart keeps its images')
  t.is(await ok('as alice cat one /file'), 'content')
  const wrong = await run('dat daemon install --bootstrap nonsense')
  t.is(wrong.exitCode, 2)
  t.is((await status()).pid, restarted.pid, 'a wrong option changes nothing')

  const noSuchAddress = await run('dat daemon install --listen 203.0.113.1:7777')
  t.is(noSuchAddress.exitCode, 1)
  t.ok(noSuchAddress.stderr.includes('203.0.113.1:7777'), noSuchAddress.stderr)
  t.not(await install('--listen 7777'), 'unchanged')

  // A crash: systemd starts it again.
  await ok(`systemctl kill --signal=KILL dat-container
for round in $(seq 100); do as alice cat one /file && break; sleep 0.2; done`)
  t.not((await status()).pid, restarted.pid)
  t.absent(
    (await ok('journalctl -u dat-container')).includes(shared.link.split('#')[1] ?? shared.link)
  )

  await ok(`systemctl stop dat-container
runuser -u dat-container -- env DAT_CONTAINER_RUNTIME_DIR=/tmp/repair \\
  /srv/node "$MAIN" --home /var/lib/dat-container-daemon repair
systemctl start dat-container`)

  const kept = await json<{ uninstalled: boolean; home: string | null }>(
    'dat daemon uninstall --json'
  )
  t.alike(kept, { uninstalled: true, home: '/var/lib/dat-container-daemon' })
  const gone = await run('as alice images')
  t.not(gone.exitCode, 0)
  t.ok(gone.stderr.includes('no daemon serves'), gone.stderr)
  t.is(await install(`--bootstrap 127.0.0.1:${PORT}`), 'started')
  t.is(await ok('as alice cat one /file'), 'content', 'its images were kept')
  await ok('dat daemon uninstall --purge')
  t.alike(await json('dat daemon uninstall --json'), { uninstalled: false, home: null })
  const left = await ok(`getent passwd dat-container; getent group dat-container
find /etc /var/lib /run \\( -name dat-container-daemon* -o -name dat-container.service* \\) -not -path '/run/systemd/*'
ls -d ${SOCKET} 2>/dev/null; systemctl list-units --all --plain --no-legend 'dat-container*'`)
  t.is(left, '', 'nothing is left')
}

const SOCKET_MODES = `dat-container dat-container 660\ndat-container dat-container 750`
const LS_REFUSED = `ls: cannot open directory '/run/dat-container-daemon': Permission denied`

test('without systemd, daemon install says what to do instead', async (t) => {
  await using sandbox = await Sandbox.open()
  const machine = await sandbox.machine('machine')
  const [program, argv] = machine.argv('daemon', 'install', '--json')
  const script = `mkdir -p /run/systemd && mount -t tmpfs tmpfs /run && exec "$0" "$@"`
  const ran = await execa('unshare', ['--mount', 'sh', '-c', script, program, ...argv], {
    reject: false,
    env: { DAT_CONTAINER_HOME: machine.home, ...sandbox.sandboxEnvironment }
  })
  t.is(ran.exitCode, 1)
  const { error } = JSON.parse(ran.stderr) as { error: { code: string; hint: string } }
  t.is(error.code, 'MISSING_TOOL', error.hint)
  t.ok(error.hint.includes('dat-container daemon start'), error.hint)
})
