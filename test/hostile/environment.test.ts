import test from 'brittle'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { bootDetached } from '../../src/boot/runner/boot-detached.ts'
import { stopContainer } from '../../src/boot/containers/containers.ts'
import { runCommand } from '../../src/core/host/host-command.ts'
import { childrenOf } from '../../src/core/host/process-table.ts'
import { bootFixture } from '../boot/boot-fixture.ts'
import { scriptInitRootfs } from '../boot/script-init.ts'

const LONG = { timeout: 120_000 }
const SECRET = 'CALLERS_SECRET=hunter2'

function environmentOf(pid: number): string[] {
  return readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').filter(Boolean)
}

function commandLineOf(pid: number): string {
  return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
}

/** A process and all below it. */
function family(pid: number): number[] {
  return [pid, ...childrenOf(pid).flatMap(family)]
}

void test(
  'neither nspawn nor the container has what the caller has in its environment',
  LONG,
  async (t) => {
    const [name = '', value = ''] = SECRET.split('=')
    process.env[name] = value
    process.env['DAT_CONTAINER_TEST_START'] = JSON.stringify({
      ...{ mode: 'process', argv: ['sleep', '1000'] },
      env: ['IMAGE_SAYS=this', 'OPENSSL_CONF=/evil', 'LD_AUDIT=/evil', 'BOTH=image']
    })
    t.teardown(() => {
      delete process.env[name]
      delete process.env['DAT_CONTAINER_TEST_START']
    })
    const { base, home } = bootFixture(t, '', scriptInitRootfs())
    const env = ['GIVEN=for the container', 'BOTH=user', 'GCONV_PATH=/mine', 'LANG=C']
    const container = { ...base, name: 'web', env }
    const { nspawn, runner } = await bootDetached({ container })
    t.ok(environmentOf(runner.pid).includes(SECRET), 'our own runner has it')
    while (family(nspawn?.pid ?? 0).length < 3) await sleep(20)
    const all = family(nspawn?.pid ?? 0)
    while (!commandLineOf(all.at(-1) ?? 0).includes('1000')) await sleep(20)
    const command = all.at(-1) ?? 0
    t.is(all.length, 3, 'nspawn, its little init, and the command')
    for (const pid of all) t.absent(environmentOf(pid).includes(SECRET), `${pid} of ${all.join()}`)

    const names = environmentOf(nspawn?.pid ?? 0).map((variable) => variable.split('=')[0])
    const expected = [
      'BOTH',
      'GIVEN',
      'LANG',
      'NOTIFY_SOCKET',
      'PATH',
      'PWD',
      'SYSTEMD_NSPAWN_LOCK',
      'TERM'
    ]
    t.alike(
      names.filter((one) => !expected.includes(one ?? '')),
      [],
      'of nspawn, all is listed'
    )
    const inside = environmentOf(command)
    for (const one of ['IMAGE_SAYS=this', 'OPENSSL_CONF=/evil', 'LD_AUDIT=/evil', ...env]) {
      t.ok(inside.includes(one), `inside: ${one}`)
    }
    t.absent(inside.includes('BOTH=image'), 'what the user says is stronger')
    const commandLine = commandLineOf(nspawn?.pid ?? 0)
    t.absent(
      commandLine.includes('for the container'),
      'what the user gives is not in an argument list'
    )
    const { stdout } = await runCommand('env', [])
    t.absent(stdout.includes(SECRET), 'nor has any other program of the host')
    await stopContainer({ home, name: 'web', timeoutMs: 0 })
  }
)
