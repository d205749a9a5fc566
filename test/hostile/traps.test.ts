import test from 'brittle'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { bootDetached } from '../../src/boot/runner/boot-detached.ts'
import type { ContainerOptions } from '../../src/boot/state/boot-options.ts'
import { ownCgroups } from '../../src/boot/nspawn/cgroup.ts'
import { processStats } from '../../src/boot/containers/container-stats.ts'
import type { ContainerState } from '../../src/boot/state/container-record.ts'
import {
  inspectContainer,
  removeContainer,
  stopContainer
} from '../../src/boot/containers/containers.ts'
import { bootPaths } from '../../src/boot/state/paths.ts'
import { isAlive, waitForExit } from '../../src/core/host/process-table.ts'
import { bootFixture } from '../boot/boot-fixture.ts'
import { tinyRootfs } from '../e2e/tiny-rootfs.ts'

/** Long after a runner kills what has not stopped. */
const ENDED_MS = 20_000
const LONG = { timeout: 300_000 }
const OF_HOST = '0123456789abcdef0123456789abcdef'
const OF_IMAGE = 'fedcba9876543210fedcba9876543210'
/** Up from the root of a container, wherever that is. */
const OUT = '../../../../../../../../../../../../../../../..'
const SAY = 'echo "id ${container_uuid}"; exec sleep 1000'

const WAYS: readonly [string, Partial<ContainerOptions>][] = [
  ['default options', {}],
  ['--private-users no --cap-drop all', { privateUsers: 'no', capDrop: ['all'] }]
]

/** Makes a deep tree of cgroups, a threaded one and one of a name that is no text, and moves into the deepest. */
const DEEP = `
$| = 1;
my $depth = 0;
for my $base ('/sys/fs/cgroup/unified', '/sys/fs/cgroup/systemd', '/sys/fs/cgroup') {
  chdir $base or next;
  mkdir "\\xff\\xfe";
  if (mkdir 'threads' and mkdir 'threads/in') {
    open TYPE, '>', 'threads/in/cgroup.type';
    print TYPE 'threaded';
    close TYPE;
  }
  my $name = 'd' x 200;
  for (1 .. 60) { mkdir $name or last; chdir $name or last; $depth = $_ if $_ > $depth }
  open PROCESSES, '>', 'cgroup.procs';
  print PROCESSES $$;
  close PROCESSES;
}
print "made $depth\\n";
sleep 1000 while 1;
`

for (const [way, options] of WAYS) {
  void test(`/etc/machine-id names no file of this machine: ${way}`, LONG, async (t) => {
    const directory = mkdtempSync(join(tmpdir(), 'dc-trap-'))
    t.teardown(() => execFileSync('rm', ['-r', directory]))
    const trap = join(directory, 'of-host')
    writeFileSync(trap, `${OF_HOST}\n`)
    const kinds: Record<string, (path: string) => void> = {
      plain: (path) => writeFileSync(path, `${OF_IMAGE}\n`),
      link: (path) => symlinkSync(`${OUT}${trap}`, path),
      absolute: (path) => symlinkSync(trap, path),
      fifo: (path) => void execFileSync('mkfifo', [path])
    }
    for (const [kind, plant] of Object.entries(kinds)) {
      const rootfs = tinyRootfs(mkdtempSync(join(directory, kind)), ['ln'])
      plant(join(rootfs, 'etc/machine-id'))
      const { base, home } = bootFixture(t, kind, rootfs)
      const container = { ...base, name: kind, ...options, command: ['sh', '-c', SAY] }
      const first = await boot(home, container)
      if (kind === 'plain') t.is(first, OF_IMAGE, 'systemd-nspawn reads that of an image')
      else t.ok(first.length === 32 && first !== OF_HOST, `${kind}: it boots, and is told another`)
    }
    const { base, home } = bootFixture(t, 'later', tinyRootfs(join(directory, 'later'), ['ln']))
    const later = { ...base, name: 'later', ...options }
    const plants = `ln -sfn ${OUT}${trap} /etc/machine-id && echo planted; exec sleep 1000`
    await boot(home, { ...later, command: ['sh', '-c', plants] }, /^(planted)$/m)
    const told = await boot(home, { ...later, command: ['sh', '-c', SAY] })
    t.ok(told.length === 32 && told !== OF_HOST, 'nor one that a container has put there')
  })

  void test(`an image whose /etc leads out of it is not run: ${way}`, LONG, async (t) => {
    const rootfs = tinyRootfs(mkdtempSync(join(tmpdir(), 'dc-etc-')))
    execFileSync('rm', ['-r', join(rootfs, 'etc')])
    symlinkSync(`${OUT}/etc`, join(rootfs, 'etc'))
    const { base } = bootFixture(t, '', rootfs)
    const container = { ...base, name: 'out', ...options, command: ['sleep', '1000'] }
    await t.exception(bootDetached({ container }), /leads out/)
  })

  void test(`cgroups of a container keep nobody from ending it: ${way}`, LONG, async (t) => {
    const rootfs = tinyRootfs(mkdtempSync(join(tmpdir(), 'dc-cgroups-')), ['perl'])
    writeFileSync(join(rootfs, 'deep.pl'), DEEP)
    const { base, home } = bootFixture(t, '', rootfs)
    const container = { ...base, name: 'deep', ...options, command: ['perl', '/deep.pl'] }
    const state = await bootDetached({ container })
    const made = await said(home, 'deep', /^made (\d+)$/m)
    t.ok(Number(made) > 40, `it has made ${made} cgroups below each other`)
    t.ok(processStats(leaderOf(state), state.cgroups).pids > 0, 'it can be counted')
    await stopContainer({ home, name: 'deep', timeoutMs: 100 })
    t.absent(isAlive(leaderOf(state)), 'it can be stopped')
    await removeContainer({ home, name: 'deep', force: true })
    const left = ownCgroups(bootPaths(home).homeId, 'deep').filter((path) => existsSync(path))
    t.alike(left, [], 'no cgroup is left')
  })

  void test(`no stream of a command is a device of this machine: ${way}`, LONG, async (t) => {
    const { base, home } = bootFixture(
      t,
      '',
      tinyRootfs(mkdtempSync(join(tmpdir(), 'dc-null-')), ['stat', 'tr'])
    )
    const script =
      'for n in 0 1 2; do stat -L -c "%F" /proc/self/fd/$n; done > /tmp/kinds; ' +
      'read line; echo "kinds $? $(cat /tmp/kinds | tr "\\n" ,)"; exec sleep 1000'
    const container = { ...base, name: 'null', ...options, command: ['sh', '-c', script] }
    await bootDetached({ container })
    const kinds = await said(home, 'null', /^kinds (.*)$/m)
    t.ok(kinds.startsWith('1 '), 'there is nothing to be read')
    t.absent(kinds.includes('character'), kinds)
    await stopContainer({ home, name: 'null', timeoutMs: 0 })
  })

  void test(`no stop signal of an image keeps it from being stopped: ${way}`, LONG, async (t) => {
    for (const stopSignal of ['SIGFOO', '999', '0', 'SIGSTOP', 'SIGTERM']) {
      const start = { mode: 'process', argv: ['sleep', '1000'], stopSignal }
      process.env['DAT_CONTAINER_TEST_START'] = JSON.stringify(start)
      const { base } = bootFixture(
        t,
        stopSignal,
        tinyRootfs(mkdtempSync(join(tmpdir(), 'dc-stop-')))
      )
      const state = await bootDetached({
        container: { ...base, name: 'web', ...options, stopTimeoutMs: 1000 }
      })
      process.kill(state.runner.pid, 'SIGTERM')
      t.ok(await waitForExit(leaderOf(state), ENDED_MS), `${stopSignal}: it has ended`)
      delete process.env['DAT_CONTAINER_TEST_START']
    }
  })
}

function leaderOf({ leader }: ContainerState): NonNullable<ContainerState['leader']> {
  if (leader === undefined) throw new Error('it has no PID 1')
  return leader
}

/** Boots, and stops again. @returns what it said, without dashes: the id that it was told */
async function boot(
  home: string,
  container: ContainerOptions,
  pattern = /^id (\S*)$/m
): Promise<string> {
  await bootDetached({ container })
  const id = await said(home, container.name ?? '', pattern)
  await stopContainer({ home, name: container.name ?? '', timeoutMs: 0 })
  return id.replaceAll('-', '')
}

async function said(home: string, name: string, pattern: RegExp): Promise<string> {
  for (;;) {
    const { consoleLog, state } = await inspectContainer(home, name)
    const text = existsSync(consoleLog) ? readFileSync(consoleLog, 'utf8') : ''
    const found = [...text.matchAll(new RegExp(pattern, 'gm'))].at(-1)?.[1]
    if (found !== undefined) return found
    if (state === 'stopped') throw new Error(`it has ended, and said: ${text}`)
    await sleep(50)
  }
}
