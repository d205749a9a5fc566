import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'brittle'
import { leftAfter, snapshot } from '../boot/leftovers.ts'
import type { Container, Listed, Shared } from '../e2e/results.ts'
import { debianRootfs } from '../e2e/rootfs.ts'
import { MAIN, Sandbox, type Machine } from '../e2e/sandbox.ts'
import { tinyRootfs } from '../e2e/tiny-rootfs.ts'
import { treeDigest } from '../e2e/tree-digest.ts'

const ROOT = fileURLToPath(new URL('../../..', import.meta.url))
/** It only ends what hangs. */
const LIMIT = { timeout: 600_000 }

const NATIVE = [
  ...['fs-native-extensions', 'koffi', 'rocksdb-native', 'sodium-native', 'udx-native'],
  'zstd-napi'
]
/** The last one looks for libfuse first, so it is loaded as the tool does. */
const LOADS = [
  ...NATIVE.map((name) => `require(${JSON.stringify(name)})`),
  `import(${JSON.stringify(join(ROOT, 'build/src/fuse/protocol/binding.js'))}).then((fuse) => fuse.loadFuse())`
].join('\n')

type Test = ReturnType<typeof test>

/** The test of one release: all that the tool does, once. */
export function testRelease(release: 20 | 22 | 24 | 26): void {
  test(`the whole of the tool works on Node.js ${release}`, LIMIT, async (t) => {
    const before = snapshot()
    const node = nodeRelease(release)
    t.ok(execFileSync(node, ['--version']).toString().startsWith(`v${release}.`))
    await t.execution(() => execFileSync(node, ['-e', LOADS], { cwd: ROOT, stdio: 'pipe' }))
    {
      await using sandbox = await Sandbox.open({ program: [node, MAIN] })
      const publisher = await sandbox.machine('publisher')
      const reader = await sandbox.machine('reader')
      const mirror = await sandbox.machine('mirror')
      const source = tinyRootfs(join(sandbox.directory, 'source'))

      const tiny = await shareTwice(t, publisher, source)
      await mountBoth(t, reader, { link: tiny.link, source, at: join(sandbox.directory, 'mnt') })
      const held = await mirror.json<Listed>('mirror', tiny.mirrorLink, '--wait')
      t.alike([held.role, held.blocksHeld], ['mirror', held.blocksKnown], 'mirrored')

      const debian = await publisher.json<Shared>('share', debianRootfs(), '--name', 'debian')
      const containers: readonly Start[] = [
        { link: debian.link, options: ['--mount', 'erofs', '--wait', 'ready'] },
        { link: tiny.link, options: ['--mount', 'fuse'], command: ['sleep', '1000'] }
      ]
      for (const container of containers) await start(t, reader, container)
      for (const { link } of [tiny, debian]) await reader.ok('pull', link)
      for (const machine of [publisher, mirror, reader]) await machine.ok('daemon', 'stop')
      for (const container of containers) await startAgain(t, reader, container)

      await useMachines(t, reader)
    }
    t.alike(await leftAfter(before), [], 'nothing is left')
  })
}

/** Path of a release of Node.js, which is fetched where it is not here yet. */
function nodeRelease(major: number): string {
  const script = join(ROOT, 'scripts/node-release.sh')
  return execFileSync(script, [String(major)], { stdio: ['ignore', 'pipe', 'inherit'] })
    .toString()
    .trim()
}

async function shareTwice(t: Test, publisher: Machine, source: string): Promise<Shared> {
  const first = await publisher.json<Shared>('share', source, '--name', 'tiny')
  writeFileSync(join(source, 'etc/added'), 'in the second version')
  const second = await publisher.json<Shared>('share', source, '--update', 'tiny')
  t.alike([first.version, second.version, second.link], [1, 2, first.link], 'shared and updated')
  return second
}

async function mountBoth(
  t: Test,
  reader: Machine,
  { link, source, at }: { link: string; source: string; at: string }
): Promise<void> {
  mkdirSync(at)
  const expected = await treeDigest(source)
  for (const mode of ['erofs', 'fuse']) {
    const mounted = await reader.json<{ mountMode: string }>('mount', link, at, '--mount', mode)
    t.is(mounted.mountMode, mode)
    t.alike(await treeDigest(at), expected, `the mount equals its source (${mode})`)
    await reader.ok('umount', at)
  }
}

/** A container that is named after its mount mode. */
interface Start {
  readonly link: string
  readonly options: readonly [string, mode: string, ...string[]]
  readonly command?: readonly string[]
}

/** Starts it, and writes in it. */
async function start(t: Test, reader: Machine, container: Start): Promise<void> {
  const [, mode] = container.options
  const state = await boot(reader, container)
  t.alike([state.state, state.mountMode], ['running', mode], `it runs (${mode})`)
  t.is((await reader.run('exec', mode, '--', 'sh', '-c', 'exit 42')).exitCode, 42)
  await reader.ok('exec', mode, '--', 'sh', '-c', 'echo kept > /root/written')
  t.is((await reader.json<Container>('inspect', mode)).mountMode, mode)
  await reader.ok('stop', mode)
}

/** Starts it offline, and looks for what was written. */
async function startAgain(t: Test, reader: Machine, container: Start): Promise<void> {
  const [, mode] = container.options
  await boot(reader, { ...container, options: [...container.options, '--offline'] })
  const written = await reader.ok('exec', mode, '--', 'cat', '/root/written')
  t.is(written, 'kept', `the second start, offline, has what was written (${mode})`)
  await reader.ok('rm', '--force', mode)
}

async function boot(reader: Machine, { link, options, command = [] }: Start): Promise<Container> {
  const words = command.length === 0 ? [] : ['--', ...command]
  return reader.json<Container>('boot', link, '-n', options[1], '-d', ...options, ...words)
}

/** What works without an image of HyperOS. */
async function useMachines(t: Test, home: Machine): Promise<void> {
  t.alike(await home.json('machine', 'ls'), [], 'there is no machine')
  const { images } = await home.json<{ images: { kind: string }[] }>('machine', 'images')
  // What this checkout built is listed in every home.
  t.alike(
    images.filter(({ kind }) => kind !== 'built'),
    [],
    'this home has no image of HyperOS'
  )
  for (const verb of ['status', 'ip', 'logs', 'stop', 'rm']) {
    const { exitCode, stderr } = await home.run('machine', verb, 'none')
    t.is(exitCode, 3, `machine ${verb}: ${stderr}`)
  }
}
