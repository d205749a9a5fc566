import test from 'brittle'
import { ImageReference } from '../../src/p2p/link.ts'
import type { ContainerOptions } from '../../src/boot/state/boot-options.ts'
import { isContainerError } from '../../src/core/errors.ts'
import {
  containerOptions,
  type BootFlags
} from '../../src/cli/verbs/containers/container-options.ts'

/** What commander gives when no flag was given. */
const DEFAULTS: BootFlags = {
  wait: 'running',
  mount: 'auto',
  onPeerLoss: 'wait',
  peerTimeout: 30_000
}
/** What every boot says. */
const ALWAYS = {
  home: '/home',
  link: 'image',
  mountMode: 'auto',
  onPeerLoss: 'wait',
  peerTimeoutMs: 30_000
}

const IMAGE = ImageReference.parse('image')

function options(flags: Partial<BootFlags>, argv: string[] = []): object {
  const given = containerOptions(IMAGE, argv, { ...DEFAULTS, ...flags }, '/home')
  const { commandMs, ...rest } = { ...given, link: given.link.toString() }
  return typeof commandMs === 'number' ? rest : {}
}

void test('each flag of boot is the option that it is for, and no other', (t) => {
  const table: [Partial<BootFlags>, Partial<ContainerOptions>][] = [
    [{}, {}],
    [{ name: 'web' }, { name: 'web' }],
    [{ boot: true }, { forceBoot: true }],
    [{ ephemeral: true }, { ephemeral: true }],
    [{ readOnly: true }, { readOnly: true }],
    [{ rm: true }, { remove: true }],
    [{ env: ['A=1', 'B='] }, { env: ['A=1', 'B='] }],
    [{ workdir: '/srv' }, { cwd: '/srv' }],
    [{ user: 'www' }, { user: 'www' }],
    [{ hostname: 'host' }, { hostname: 'host' }],
    [
      { volume: ['/a:/b', '/c:/d:ro'] },
      {
        binds: [
          { source: '/a', target: '/b', readOnly: false },
          { source: '/c', target: '/d', readOnly: true }
        ]
      }
    ],
    [{ network: 'none' }, { network: 'none' }],
    [{ capAdd: ['NET_ADMIN'] }, { capAdd: ['NET_ADMIN'] }],
    [{ capDrop: ['all'] }, { capDrop: ['all'] }],
    [
      { device: ['/dev/null:/dev/zero:r'] },
      { devices: [{ source: '/dev/null', target: '/dev/zero', access: 'r' }] }
    ],
    [{ privateUsers: 'no' }, { privateUsers: 'no' }],
    [{ privileged: true }, { privileged: true }],
    [{ idMapping: 'served' }, { idMapping: 'served' }],
    [{ nspawnArg: ['--quiet'] }, { nspawnArgs: ['--quiet'] }],
    [{ mount: 'fuse' }, { mountMode: 'fuse' }],
    [{ lazyOnly: true }, { lazyOnly: true }],
    [{ offline: true }, { offline: true }],
    [{ reuse: false }, { reuse: false }],
    [{ record: true }, { record: 'home' }],
    [{ record: false }, {}],
    [{ onPeerLoss: 'fail' }, { onPeerLoss: 'fail' }],
    [{ peerTimeout: 5 }, { peerTimeoutMs: 5 }],
    // This is an option of the waiting command, not of the container.
    [{ detach: true, wait: 'ready', waitTimeout: 9 }, {}]
  ]
  for (const [flags, expected] of table) {
    t.alike(options(flags), { ...ALWAYS, ...expected }, JSON.stringify(flags))
  }
  t.alike(options({}, ['id', '-u']), { ...ALWAYS, command: ['id', '-u'] })
})

void test('options that are left out are absent, and JSON carries the others', (t) => {
  const flags = { volume: ['/a:/b'], device: ['/dev/null'], user: undefined! }
  const given = containerOptions(IMAGE, ['true'], { ...DEFAULTS, ...flags }, '/home')
  t.absent(Object.values(given).includes(undefined!), 'none is undefined')
  t.alike(JSON.parse(JSON.stringify(given)), { ...given, link: 'image' })
})

void test('what is no volume or no device is refused', (t) => {
  for (const flags of [{ volume: ['/a'] }, { volume: ['/a:b'] }, { device: ['null'] }]) {
    try {
      options(flags)
      t.fail(JSON.stringify(flags))
    } catch (error) {
      t.ok(isContainerError(error, 'USAGE'), String(error))
    }
  }
})
