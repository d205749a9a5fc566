import test from 'brittle'
import { execa } from 'execa'
import { closeSync, copyFileSync, existsSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { bootDetached } from '../../src/boot/runner/boot-detached.ts'
import { SYSTEM_CALLS, type Processor } from '../../src/boot/enter/system-calls.ts'
import { pause } from '../../src/core/abort.ts'
import { execInContainer } from '../../src/boot/containers/exec.ts'
import { bootFixture, type BootFixture } from '../boot/boot-fixture.ts'
import { LONG } from '../e2e/sandbox.ts'

const INIT = fileURLToPath(new URL('../../../test/hostile/lying-init.pl', import.meta.url))
const MAIN = fileURLToPath(new URL('../boot/exec-main.js', import.meta.url))
const NUMBERS = SYSTEM_CALLS[process.arch as Processor]
/** A call that nobody makes. */
const NONE = 9999

interface Liar {
  readonly rootfs: string
  /** Runs a command that says where it runs, in a file. */
  ran(): Promise<{ exitCode: number; ran: string | undefined }>
}

/** A booted container whose PID 1 has a filter in which one system call lies. */
async function liar(fixture: BootFixture, call: number): Promise<Liar> {
  const { home, base } = fixture
  const init = join(home, '..', 'init.pl')
  copyFileSync(INIT, init)
  await execa('sed', ['-i', '1i #!/usr/bin/perl', init])
  await execa('chmod', ['755', init])
  const name = `liar-${call}`
  const { rootfs } = await bootDetached({
    container: {
      ...base,
      name,
      stopTimeoutMs: 100,
      forceBoot: true,
      capAdd: ['all'],
      env: [`LIES=${call}`, `SECCOMP=${NUMBERS.seccomp}`],
      binds: [{ source: init, target: '/usr/lib/systemd/systemd', readOnly: true }]
    }
  })
  // Until its filter is there, nothing lies.
  while (!existsSync(join(rootfs, 'lies'))) await pause(20)
  return {
    rootfs,
    async ran() {
      const argv = ['sh', '-c', 'read name < /proc/$$/comm; echo "$name" > /ran']
      const options = { home, name, argv, stdio: 'ignore' }
      const { exitCode } = await execa(process.execPath, [MAIN], {
        env: { DAT_CONTAINER_TEST_OPTIONS: JSON.stringify(options) },
        reject: false,
        timeout: 60_000
      })
      const path = join(rootfs, 'ran')
      return {
        exitCode: exitCode ?? -1,
        ran: existsSync(path) ? readFileSync(path, 'utf8') : undefined
      }
    }
  }
}

void test('a filter that lies keeps exec from nothing but the command', LONG, async (t) => {
  const fixture = bootFixture(t)
  const honest = await (await liar(fixture, NONE)).ran()
  t.is(honest.exitCode, 0, 'control: with a filter that does not, it runs')
  t.is(honest.ran, 'sh\n', 'inside, where it finds itself in /proc')
  for (const call of ['clone', 'execve', 'exit_group', 'setsid', 'exit'] as const) {
    const { exitCode, ran } = await (await liar(fixture, NUMBERS[call])).ran()
    t.comment(`${call}: ${exitCode}, ${ran}`)
    // Outside of the container's PID namespace it would have a number that its /proc has not.
    t.ok(ran === undefined || ran === 'sh\n', `${call}: never outside`)
    if (call === 'clone' || call === 'execve') t.not(exitCode, 0, 'it is told')
  }
  // Calls that take rights away are made before the filter is there.
  for (const call of ['capset', 'setresuid', 'prctl', 'setns', 'close_range'] as const) {
    const { rootfs } = await liar(fixture, NUMBERS[call])
    const argv = ['sh', '-c', 'cat /proc/self/status; ls /proc/self/fd']
    const name = `liar-${NUMBERS[call]}`
    const output = openSync(join(rootfs, 'output'), 'w+')
    const stdio = ['ignore', output, 'ignore'] as const
    await execInContainer({ home: fixture.home, name, argv, stdio, user: 'daemon' })
    closeSync(output)
    const text = readFileSync(join(rootfs, 'output'), 'utf8')
    t.ok(/^Uid:\s+1\s/m.test(text), `${call}: as the user`)
    t.ok(/^CapPrm:\s+0+$/m.test(text), 'with no capabilities')
    t.alike(text.trim().split('\n').slice(-4), ['0', '1', '2', '3'], 'and three streams')
  }
})
