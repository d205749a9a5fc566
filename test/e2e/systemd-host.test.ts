import { execFileSync, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'brittle'
import { execa } from 'execa'
import { leftAfter, snapshot } from '../boot/leftovers.ts'
import { debianRootfs } from './rootfs.ts'
import { LONG } from './sandbox.ts'

const PORT = 49_611

/** Runs on the host within; prints one JSON object a line. */
const SCRIPT = `
set -eu
export DAT_CONTAINER_HOME=/srv/state/home DAT_CONTAINER_RUNTIME_DIR=/srv/state/run
export DAT_CONTAINER_BOOTSTRAP=127.0.0.1:${PORT}
ip link set lo up
run() { node "$MAIN" --json "$@" | tr -d '\\n'; echo; }
node "$MAIN" dht --port ${PORT} >/dev/null & dht=$!
sleep 1
run share /srv/rootfs --name debian
link=$(node "$MAIN" images --links --json | sed -n 's/.*"link": "\\(.*\\)".*/\\1/p')
run boot "$link" -n one -d --wait ready
node "$MAIN" exec one -- systemctl is-system-running | sed 's/.*/{"inside":"&"}/'
systemctl list-units --plain --no-legend --type=scope 'dat-container-*' | sed 's/ .*//;s/.*/{"scope":"&"}/'
run stop one
code=0; node "$MAIN" boot "$link" --ephemeral -- sh -c 'exit 4' || code=$?
echo "{\\"exit\\":$code}"
run rm one
run daemon stop
kill $dht
for round in $(seq 100); do # a mounter lingers a moment after its last lease
  left=$(systemctl list-units --plain --no-legend --type=scope 'dat-container-*' | sed 's/ .*//')
  [ -n "$left" ] || break
  sleep 0.1
done
echo "{\\"left\\":\\"$left\\"}"
`

test('on a host whose PID 1 is systemd, containers run in scopes of their own', LONG, async (t) => {
  const before = snapshot()
  const directory = mkdtempSync(join(tmpdir(), 'dat-systemd-'))
  {
    await using host = await systemdHost(directory)
    const ran = await host.run(SCRIPT)
    t.is(ran.exitCode, 0, ran.stderr)
    const said = ran.stdout.split('\n').map((line) => JSON.parse(line) as Record<string, unknown>)
    const find = (key: string): unknown => said.find((document) => key in document)?.[key]
    t.is(find('state'), 'running')
    t.is(find('ready'), 'running', 'systemd in the container came up')
    t.is(find('inside'), 'running')
    const scopes = said.flatMap(({ scope }) => (typeof scope === 'string' ? [scope] : []))
    t.ok(
      scopes.some((name) => name.endsWith('-one.scope')),
      scopes.join(' ')
    )
    t.ok(
      scopes.some((name) => name.startsWith('dat-container-mount-')),
      'the mounter has its own'
    )
    t.is(find('exit'), 4, 'a command’s exit status passes through')
    t.is(find('left'), '', 'no scope is left')
  }
  rmSync(directory, { recursive: true })
  t.alike(await leftAfter(before), [], 'nothing is left')
})

interface Host extends AsyncDisposable {
  run(script: string): Promise<{ exitCode?: number; stdout: string; stderr: string }>
}

/** This machine's own system on a throw-away overlay, booted with systemd as its PID 1. */
async function systemdHost(directory: string): Promise<Host> {
  const [layer, state] = [join(directory, 'layer'), join(directory, 'state')]
  mkdirSync(layer)
  mkdirSync(state)
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', layer])
  const [upper, work, merged] = ['upper', 'work', 'merged'].map((name) => join(layer, name))
  for (const path of [upper, work, merged]) mkdirSync(path ?? '')
  const options = `lowerdir=/,upperdir=${upper},workdir=${work}`
  execFileSync('mount', ['-t', 'overlay', 'overlay', '-o', options, merged ?? ''])
  const repository = fileURLToPath(new URL('../../../', import.meta.url))
  const main = fileURLToPath(new URL('../../../dist/main.js', import.meta.url))
  const nspawn = spawn(
    'systemd-nspawn',
    [
      ...['--quiet', '--settings=no', '--register=no', '--keep-unit', '--link-journal=no'],
      ...['--console=pipe', '--boot', '--kill-signal=SIGRTMIN+3', '--private-network'],
      ...['--capability=all', '--system-call-filter=@mount @keyring bpf', '--bind=/dev/fuse'],
      ...[`--bind=${state}:/srv/state`, `--bind-ro=${debianRootfs()}:/srv/rootfs`],
      ...[`--bind-ro=${repository}:/srv/repository`, `--directory=${merged}`],
      ...[`--machine=dat-systemd-host-${process.pid}`, '--', '--unit=basic.target']
    ],
    { stdio: 'ignore' }
  )
  const ended = new Promise<void>((resolve) => nspawn.once('close', () => resolve()))
  const dispose = async (): Promise<void> => {
    nspawn.kill('SIGTERM')
    await ended
    execFileSync('umount', [merged ?? ''])
    execFileSync('umount', [layer])
  }
  const enter = async (script: string) => {
    const leader = childOf(nspawn.pid ?? 0)
    const environment = [
      'env',
      '-i',
      `PATH=${process.env['PATH']}`,
      `MAIN=${inRepository(main, repository)}`
    ]
    const argv = [`--target=${leader}`, '--all', '--', ...environment, 'bash', '-c', script]
    return execa('nsenter', argv, { reject: false, stdin: 'ignore', timeout: 120_000 })
  }
  try {
    for (;;) {
      const { stdout } = await enter('systemctl is-system-running --wait')
      if (['running', 'degraded'].includes(stdout)) break
      if (nspawn.exitCode !== null) throw new Error('the host within ended')
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  } catch (error) {
    await dispose()
    throw error
  }
  return {
    run: async (script) => {
      writeFileSync(join(state, 'script'), script)
      const { exitCode, stdout, stderr } = await enter('. /srv/state/script')
      return { stdout, stderr, ...(exitCode === undefined ? {} : { exitCode }) }
    },
    [Symbol.asyncDispose]: dispose
  }
}

function inRepository(path: string, repository: string): string {
  return join('/srv/repository', path.slice(repository.length))
}

function childOf(pid: number): string {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')[0] ?? ''
}
