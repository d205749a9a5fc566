import test from 'brittle'
import {
  machineName,
  passedEnvironment,
  planNspawn,
  type NspawnOptions
} from '../../../src/boot/nspawn/nspawn-plan.ts'
import { planOverlay } from '../../../src/boot/root/overlay.ts'
import { inCgroups } from '../../../src/boot/nspawn/cgroup.ts'
import { parseHierarchies } from '../../../src/core/host/cgroup-hierarchies.ts'
import { inOwnScope } from '../../../src/core/host/service-process.ts'

const BASE: NspawnOptions = {
  root: '/merged',
  machine: 'm',
  hostname: 'h',
  payload: { mode: 'boot' },
  console: 'read-only'
}
const ALWAYS = [
  'systemd-nspawn',
  '--quiet',
  '--settings=no',
  '--register=no',
  '--keep-unit',
  '--link-journal=no',
  '--timezone=off',
  '--directory=/merged',
  '--machine=m',
  '--hostname=h'
]
const NO_NODES = '--drop-capability=CAP_MKNOD'
const BOOT = ['--boot', '--notify-ready=yes', '--kill-signal=SIGRTMIN+3']

void test('nspawn argument lists', (t) => {
  const table: [string, Partial<NspawnOptions>, string[]][] = [
    ['boot', {}, ['--console=read-only', ...BOOT]],
    [
      'a command',
      { payload: { mode: 'process', argv: ['sh', '-c', 'a b'] }, console: 'pipe' },
      ['--console=pipe', '--as-pid2', '--', 'sh', '-c', 'a b']
    ],
    [
      'a command with user, directory, environment',
      {
        payload: { mode: 'process', argv: ['-x'], cwd: '/var', user: 'daemon' },
        console: 'interactive',
        env: ['A=1 2', 'PATH=/bin'],
        passed: { A: '1 2' }
      },
      [
        '--console=interactive',
        '--setenv=A',
        '--setenv=PATH=/bin',
        '--as-pid2',
        '--chdir=/var',
        '--user=daemon',
        '--',
        '-x'
      ]
    ],
    [
      'a command that brings files of its own',
      {
        payload: {
          mode: 'process',
          argv: ['/run/x', 'sh'],
          binds: [{ source: '/usr/bin/x', target: '/run/x', readOnly: true }]
        },
        binds: [{ source: '/a', target: '/b', readOnly: false }],
        console: 'pipe'
      },
      [
        '--console=pipe',
        '--bind-ro=/usr/bin/x:/run/x',
        '--bind=/a:/b',
        '--as-pid2',
        '--',
        '/run/x',
        'sh'
      ]
    ],
    ['no network', { network: 'none' }, ['--console=read-only', '--private-network', ...BOOT]],
    [
      'private network',
      { network: 'private' },
      ['--console=read-only', '--private-network', ...BOOT]
    ],
    ['read-only', { readOnly: true }, ['--console=read-only', '--read-only', ...BOOT]],
    [
      'binds',
      {
        binds: [
          { source: '/a:b', target: '/c', readOnly: false },
          { source: '/d', target: '/e\\f', readOnly: true }
        ]
      },
      ['--console=read-only', '--bind=/a\\:b:/c', '--bind-ro=/d:/e\\\\f', ...BOOT]
    ],
    [
      'capabilities',
      { capAdd: ['net_admin', 'CAP_SYS_TIME'], capDrop: ['sys_admin'] },
      [
        '--console=read-only',
        '--capability=CAP_NET_ADMIN,CAP_SYS_TIME',
        '--drop-capability=CAP_SYS_ADMIN,CAP_MKNOD',
        ...BOOT
      ]
    ],
    [
      'private users and further arguments',
      { idRange: { base: 1_000_000, count: 65_536 }, extraArgs: ['--tmpfs=/x'] },
      [
        '--console=read-only',
        '--private-users=1000000:65536',
        '--private-users-ownership=off',
        ...BOOT,
        '--tmpfs=/x'
      ]
    ]
  ]
  for (const [name, change, expected] of table) {
    const plan = planNspawn({ ...BASE, ...change }).filter((argument) => argument !== NO_NODES)
    t.alike(plan, [...ALWAYS, ...expected], name)
  }
})

void test('nobody makes device nodes who did not ask for it', (t) => {
  const dropped = (change: Partial<NspawnOptions>): string[] =>
    planNspawn({ ...BASE, ...change }).filter((word) => word.startsWith('--drop-capability'))
  t.alike(dropped({}), [NO_NODES])
  t.alike(dropped({ capDrop: ['net_raw'] }), ['--drop-capability=CAP_NET_RAW,CAP_MKNOD'])
  t.alike(dropped({ capDrop: ['all'] }), ['--drop-capability=all'])
  t.alike(dropped({ capAdd: ['mknod'] }), [])
  t.alike(dropped({ capAdd: ['all'], capDrop: ['sys_time'] }), ['--drop-capability=CAP_SYS_TIME'])
  t.alike(dropped({ privileged: true }), [])
  const [but = ''] = dropped({ capDrop: ['ALL'], capAdd: ['net_raw', 'chown'] })
  t.is(but.split(',').length, 39, 'all but the two that are granted')
  t.absent(/CAP_(NET_RAW|CHOWN)\b/.test(but), but)
  t.ok(planNspawn({ ...BASE, privileged: true }).includes('--capability=all'))
})

void test('variables that the user gives go by the environment, not by arguments', (t) => {
  const given = ['A=1=2', 'PATH=/bin', 'LD_PRELOAD=/x', 'a.b=c', 'FROM_OURS']
  const env = ['IMAGE=1', 'A=0', ...given.slice(0, 4), 'FROM_OURS=3']
  const passed = passedEnvironment(env, given)
  t.alike(passed, { A: '1=2', FROM_OURS: '3' })
  const argv = planNspawn({ ...BASE, env, passed }).filter((word) => word.startsWith('--setenv'))
  t.alike(
    argv.map((word) => word.slice('--setenv='.length)),
    ['IMAGE=1', 'A', 'A', 'PATH=/bin', 'LD_PRELOAD=/x', 'a.b=c', 'FROM_OURS']
  )
})

void test('machine names are short enough and differ', (t) => {
  t.is(machineName('web', '0123456789ab'), 'web-0123456789ab')
  const long = machineName('a'.repeat(63), '0123456789ab')
  t.ok(long.length <= 64)
  t.not(long, machineName(`${'a'.repeat(62)}b`, '0123456789ab'))
})

void test('overlay plans', (t) => {
  const paths = { upper: '/h,x/upper', work: '/h,x/work', merged: '/r/merged', scratch: '/r/s' }
  const kept = planOverlay({ lower: '/l:1', paths, ephemeral: false })
  t.is(kept.scratch, undefined)
  t.is(kept.data[1], 'lowerdir=/l\\:1,upperdir=/h\\,x/upper,workdir=/h\\,x/work')
  t.is(kept.data[0], `${kept.data[1]},metacopy=on,redirect_dir=on`)
  const brief = planOverlay({ lower: '/l', paths, ephemeral: true })
  t.is(brief.scratch, '/r/s')
  t.is(brief.data[1], 'lowerdir=/l,upperdir=/r/s/upper,workdir=/r/s/work')
})

void test('cgroup hierarchies, and getting into them', (t) => {
  const hybrid = `31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw
32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu
36 31 0:33 / /sys/fs/cgroup/devices rw - cgroup cgroup rw,devices
40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw`
  t.alike(parseHierarchies(hybrid), [
    { mountPoint: '/sys/fs/cgroup/devices', version: 1, devices: true },
    { mountPoint: '/sys/fs/cgroup/systemd', version: 1 },
    { mountPoint: '/sys/fs/cgroup/unified', version: 2 }
  ])
  t.alike(parseHierarchies('1 2 0:3 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw'), [
    { mountPoint: '/sys/fs/cgroup', version: 2 }
  ])
  t.alike(inCgroups([], ['a']), ['a'])
  t.alike(inCgroups(['/x', '/y'], ['a', 'b']).slice(3), ['sh', '2', '/x', '/y', 'a', 'b'])
  t.alike(inOwnScope('u', ['a'], { systemd: false, delegate: true }), ['a'])
  t.alike(inOwnScope('u', ['a', '-b'], { systemd: true, delegate: true, slice: 'machine.slice' }), [
    'systemd-run',
    '--scope',
    '--quiet',
    '--collect',
    '--unit=u',
    '--description=u',
    '--slice=machine.slice',
    '--property=Delegate=yes',
    '--',
    'a',
    '-b'
  ])
})
