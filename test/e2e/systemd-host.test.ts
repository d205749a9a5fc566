import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'brittle'
import { leftAfter, snapshot } from '../boot/leftovers.ts'
import { LONG } from './sandbox.ts'
import { systemdHost } from './systemd-host.ts'

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
