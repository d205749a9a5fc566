import test from 'brittle'
import { execa } from 'execa'
import { openSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { bootDetached } from '../../../src/boot/runner/boot-detached.ts'
import type { ContainerOptions } from '../../../src/boot/state/boot-options.ts'
import type { ContainerState } from '../../../src/boot/state/container-record.ts'
import { execInContainer, type ExecOptions } from '../../../src/boot/containers/exec.ts'
import { LONG } from '../../e2e/sandbox.ts'
import { bootFixture, type BootFixture } from '../boot-fixture.ts'

const MAIN = fileURLToPath(new URL('../exec-main.js', import.meta.url))
const CAPABILITIES = ['CapPrm', 'CapEff', 'CapBnd', 'CapAmb']
const FILTER = ['Seccomp', 'Seccomp_filters', 'NoNewPrivs']
const NONE = '0000000000000000'

/** Starts a container and gives what `exec` in it says, and what /proc says of its processes. */
class Probe {
  readonly #fixture: BootFixture
  readonly #name: string
  readonly state: ContainerState

  private constructor(fixture: BootFixture, name: string, state: ContainerState) {
    this.#fixture = fixture
    this.#name = name
    this.state = state
  }

  static async boot(
    fixture: BootFixture,
    name: string,
    options: Partial<ContainerOptions>
  ): Promise<Probe> {
    const state = await bootDetached({
      container: { ...fixture.base, name, ...options },
      wait: 'ready'
    })
    return new Probe(fixture, name, state)
  }

  get leader(): number {
    return this.state.leader?.pid ?? 0
  }

  /** In process mode: the command that it runs. */
  get payload(): number {
    const children = readFileSync(`/proc/${this.leader}/task/${this.leader}/children`, 'utf8')
    return Number(children.trim().split(' ')[0])
  }

  async exec(argv: string[], more: Partial<ExecOptions> = {}): Promise<string> {
    const { home } = this.#fixture
    const output = `${home}/output`
    const stdio = ['ignore', openSync(output, 'w'), 2] as const
    await execInContainer({ home, name: this.#name, argv, stdio, ...more })
    return readFileSync(output, 'utf8').trim()
  }

  /** By a process of its own, with pipes for streams. */
  async piped(argv: string[], more: Partial<ExecOptions> = {}): Promise<string> {
    const options = { home: this.#fixture.home, name: this.#name, argv, ...more }
    const { stdout } = await execa(process.execPath, [MAIN], {
      env: { DAT_CONTAINER_TEST_OPTIONS: JSON.stringify(options) },
      input: 'input'
    })
    return stdout
  }

  /** The exit code of a command that does not start, and what is said. */
  async failure(argv: string[]): Promise<[number | undefined, string]> {
    const options = { home: this.#fixture.home, name: this.#name, argv }
    const { exitCode, stderr } = await execa(process.execPath, [MAIN], {
      env: { DAT_CONTAINER_TEST_OPTIONS: JSON.stringify(options) },
      reject: false
    })
    return [exitCode, stderr.replace(/^dat-container: | \(.*$/g, '')]
  }

  async status(fields: readonly string[], more: Partial<ExecOptions> = {}): Promise<string[]> {
    return pick(await this.exec(['cat', '/proc/self/status'], more), fields)
  }
}

function pick(status: string, fields: readonly string[]): string[] {
  return fields.map((field) => new RegExp(`^${field}:\\s*(.*)$`, 'm').exec(status)?.[1] ?? '')
}

function statusOf(pid: number, fields: readonly string[]): string[] {
  return pick(readFileSync(`/proc/${pid}/status`, 'utf8'), fields)
}

function limitsOf(text: string, except: string[] = []): string[] {
  return text
    .trim()
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => except.every((name) => !line.startsWith(name)))
}

void test(
  'exec has the rights of a command: filters, capabilities, limits, and its place',
  LONG,
  async (t) => {
    const fixture = bootFixture(t)
    process.env['DAT_CONTAINER_TEST_START'] = JSON.stringify({
      mode: 'process',
      argv: ['sleep', '1000'],
      env: ['IMAGE=1', 'BOTH=image'],
      cwd: '/var',
      user: 'daemon'
    })
    t.teardown(() => delete process.env['DAT_CONTAINER_TEST_START'])
    const probe = await Probe.boot(fixture, 'command', {
      env: ['BOTH=boot', 'SPACE=a b\nc'],
      // With ids of its own, systemd-nspawn can neither set an OOM score nor keep the capability below.
      privateUsers: 'no',
      nspawnArgs: [
        '--no-new-privileges=yes',
        '--rlimit=NOFILE=333:444',
        '--rlimit=CORE=0',
        '--oom-score-adjust=321',
        '--ambient-capability=CAP_NET_BIND_SERVICE',
        '--system-call-filter=~@privileged',
        '--cpu-affinity=0'
      ]
    })
    const fields = [...CAPABILITIES, 'CapInh', ...FILTER, 'Uid', 'Gid', 'Cpus_allowed']
    t.alike(await probe.status(fields), statusOf(probe.payload, fields), 'as its command')
    t.alike(
      limitsOf(await probe.exec(['cat', '/proc/self/limits'])),
      limitsOf(readFileSync(`/proc/${probe.payload}/limits`, 'utf8')),
      'limits'
    )
    t.is(await probe.exec(['cat', '/proc/self/oom_score_adj']), '321')
    for (const namespace of ['mnt', 'uts', 'ipc', 'net', 'pid', 'user', 'cgroup']) {
      const link = `/proc/self/ns/${namespace}`
      const theirs = await probe.exec(['sh', '-c', `readlink /proc/1/ns/${namespace} ${link}`], {
        user: 'root'
      })
      const [own = '', first = own] = theirs.split('\n')
      t.is(own, first, namespace)
    }
    const shown = await probe.exec(['sh', '-c', 'pwd; echo "$IMAGE $BOTH $OWN"; echo "$SPACE"'], {
      env: ['OWN=exec']
    })
    t.is(shown, '/var\n1 boot exec\na b\nc', "the image's variables, then boot's, then exec's")
    const other = await probe.exec(['sh', '-c', 'id -un; pwd; echo $BOTH'], {
      user: 'root',
      cwd: '/etc',
      env: ['BOTH=exec']
    })
    t.is(other, 'root\n/etc\nexec')
    t.alike((await probe.status(['CapEff'], { user: 'nobody' }))[0], '0000000000000400')
  }
)

void test('exec has the rights of a booted container', LONG, async (t) => {
  const fixture = bootFixture(t)
  const probe = await Probe.boot(fixture, 'booted', {
    env: ['BOOTED=yes'],
    privateUsers: 'auto'
  })
  const fields = [...CAPABILITIES, 'CapInh', ...FILTER]
  t.alike(await probe.status(fields), statusOf(probe.leader, fields), 'as its PID 1')
  const [filters = ''] = await probe.status(['Seccomp_filters'])
  t.ok(Number(filters) > 0, 'which has filters')
  // systemd raises its own limit of open files.
  const limits = limitsOf(await probe.exec(['cat', '/proc/self/limits']), ['Max open files'])
  const own = limitsOf(readFileSync(`/proc/${probe.leader}/limits`, 'utf8'), ['Max open files'])
  t.alike(limits, own, 'limits')
  t.is(await probe.exec(['sh', '-c', 'echo $BOOTED; ulimit -Sn']), 'yes\n1024')

  // In a user namespace of its own that is each there is.
  const last = BigInt(readFileSync('/proc/sys/kernel/cap_last_cap', 'utf8').trim())
  const each = ((1n << (last + 1n)) - 1n).toString(16).padStart(NONE.length, '0')
  t.alike(
    await probe.status(['CapEff', 'CapBnd', 'Seccomp', 'Seccomp_filters'], { privileged: true }),
    [each, each, '0', '0'],
    '--privileged: all capabilities, no filter'
  )
  t.is(await probe.exec(['cat', '/proc/1/comm'], { privileged: true }), 'systemd', 'inside')

  // Each kind of a process that stops or is traced meanwhile, all at once.
  const many = Array.from({ length: 4 }, () => probe.exec(['true']))
  await Promise.all(many)
  t.is(statusOf(probe.leader, ['State'])[0], 'S (sleeping)', 'PID 1 goes on')
})

void test('exec where all capabilities are dropped has none', LONG, async (t) => {
  const fixture = bootFixture(t)
  const command = ['sleep', '1000']
  const probe = await Probe.boot(fixture, 'bare', { capDrop: ['all'], command })
  const fields = [...CAPABILITIES, 'CapInh', ...FILTER]
  const rights = await probe.status(fields)
  t.alike(rights, statusOf(probe.payload, fields))
  t.alike(rights.slice(0, 5), [NONE, NONE, NONE, NONE, NONE])
  t.is(rights[6] === '0', false, 'and the filter')
})

void test('exec enters a container with users of its own', LONG, async (t) => {
  const fixture = bootFixture(t)
  const probe = await Probe.boot(fixture, 'shifted', {
    privateUsers: 'auto',
    command: ['sleep', '1000']
  })
  const fields = [...CAPABILITIES, 'CapInh', ...FILTER]
  t.alike(await probe.status(fields), statusOf(probe.payload, fields))
  const map = readFileSync(`/proc/${probe.leader}/uid_map`, 'utf8').trim().split(/\s+/)
  t.not(map[1], '0', 'ids are others outside')
  const shown = await probe.exec(['sh', '-c', 'id -u; cat /proc/self/uid_map'])
  t.alike(shown.split(/\s+/), ['0', ...map])
  const shown12 = await probe.piped(['sh', '-c', 'id -u; echo to it >/dev/stdout; cat'], {
    user: '12'
  })
  t.is(shown12, '12\nto it\ninput', 'which may open its streams by name')
  t.is((await probe.status(['Uid'], { user: 'daemon', privileged: true }))[0], '1\t1\t1\t1')
})

void test('exec says why a command does not start', LONG, async (t) => {
  const fixture = bootFixture(t)
  const probe = await Probe.boot(fixture, 'odd', { command: ['sleep', '1000'] })
  const make = 'echo "#!/nowhere" > /bad; echo text > /worse; chmod 755 /bad /worse'
  await probe.exec(['sh', '-c', make])
  t.alike(await probe.failure(['/bad']), [127, 'cannot execute /bad: no such file'])
  t.alike(await probe.failure(['/worse']), [126, 'cannot execute /worse: wrong format'])
  await t.exception(probe.exec(['/absent']), /not in the container/)
  await t.exception(probe.exec(['/etc/passwd']), /not executable/)
  await t.exception(probe.exec(['pwd'], { cwd: '/absent' }), /no such directory/)
  await t.exception(probe.exec(['pwd'], { cwd: '/root', user: 'daemon' }), /EACCES/)
  await t.exception(probe.exec(['true'], { user: 'nobody-here' }), /no user/)
})
