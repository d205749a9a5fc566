import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'brittle'
import { DaemonClient } from '../../src/session/connection/client.ts'
import { openHome } from '../../src/home/home.ts'
import { Upload } from '../../src/session/publish/upload.ts'
import { StoredVersion } from '../../src/session/open/stored-version.ts'
import { scanDirectory } from '../../src/image/source/directory-source.ts'
import type { Manifest, PartPointer } from '../../src/image/format/manifest.ts'
import { writeVersion } from '../../src/image/publish/write-version.ts'
import { formatKey, ImageReference, parseFullLink } from '../../src/p2p/link.ts'
import { leftAfter, snapshot } from '../boot/leftovers.ts'
import type { Container, Listed, Shared, SharedProfiled, Stats } from './results.ts'
import { debianRootfs } from './rootfs.ts'
import { LONG, Sandbox, type Machine } from './sandbox.ts'
import { tinyRootfs } from './tiny-rootfs.ts'

interface Recorded {
  readonly version: number
  readonly ready: number
  readonly places: readonly (readonly [path: string, position: number, count: number])[]
}

function profilesOf(machine: Machine, link: string): Recorded[] {
  const directory = join(machine.home, 'profiles', formatKey(parseFullLink(link).key))
  if (!existsSync(directory)) return []
  return readdirSync(directory).map(
    (name) => JSON.parse(readFileSync(join(directory, name), 'utf8')) as Recorded
  )
}

/** A mount goes a moment after its last use. */
async function unmounted(directory: string): Promise<void> {
  while (readFileSync('/proc/self/mountinfo', 'utf8').includes(directory)) await sleep(50)
}

test('a recorded start is what the next one fetches first', LONG, async (t) => {
  const before = snapshot()
  {
    await using sandbox = await Sandbox.open()
    const publisher = await sandbox.machine('publisher')
    const source = tinyRootfs(join(sandbox.directory, 'source'))
    writeFileSync(join(source, 'touched'), randomBytes(200_000))
    writeFileSync(join(source, 'untouched'), randomBytes(200_000))
    const { link } = await publisher.json<Shared>('share', source, '--name', 'tiny')

    const reader = await sandbox.machine('reader')
    const command = ['--', 'cat', '/touched']
    const ran = await reader.run('boot', link, '--record', '--ephemeral', '--lazy-only', ...command)
    t.is(ran.exitCode, 0)
    t.ok(ran.stdout.length > 0)
    t.ok(/recorded \d+ chunks/.test(ran.stderr), ran.stderr)
    const [recorded] = profilesOf(reader, link)
    const paths = recorded?.places.map(([path]) => path) ?? []
    t.ok(paths.includes('touched') && paths.includes('usr/bin/cat'), paths.join(' '))
    t.ok(paths.some((path) => path.includes('libc.so')))
    t.absent(paths.includes('untouched'))
    const chunks = recorded?.places.filter(([path]) => path === 'touched')
    t.is(
      chunks?.reduce((sum, [, , count]) => sum + count, 0),
      4,
      'each chunk once'
    )

    await unmounted(sandbox.directory)
    const boot = ['boot', link, '--ephemeral', '-d', '-n', 'again']
    await reader.ok(...boot, '--', 'sh', '-c', 'cat /touched > /dev/null; sleep 60')
    t.is((await reader.json<Stats>('stats', 'again')).startOrder, 'guess', 'of another command')
    const busy = await reader.run('boot', link, '--record', '--ephemeral', ...command)
    t.is(busy.exitCode, 1, 'what is in use is not recorded')
    t.ok(busy.stderr.includes('is in use'), busy.stderr)
    await reader.ok('rm', '--force', 'again')
    await unmounted(sandbox.directory)
    t.is(profilesOf(reader, link).length, 2, 'the first run of the other command was kept too')
    await reader.ok(...boot, '--', 'sh', '-c', 'cat /touched > /dev/null; sleep 60')
    t.is((await reader.json<Stats>('stats', 'again')).startOrder, 'home')
    await reader.ok('rm', '--force', 'again')

    // A new version has its files elsewhere; the profile finds them.
    writeFileSync(join(source, 'a-new-file'), 'new')
    const update = await publisher.json<Shared>('share', source, '--update', link)
    await unmounted(sandbox.directory)
    const newest = update.link.replace('#', '@2#')
    await reader.ok(
      ...['boot', newest, '-n', 'newest', '-d'],
      ...['--', 'sh', '-c', 'cat /touched > /dev/null; sleep 60']
    )
    t.is((await reader.json<Stats>('stats', 'newest')).startOrder, 'home', 'also of a new version')
    await reader.ok('rm', '--force', 'newest')
  }
  t.alike(await leftAfter(before), [], 'nothing is left')
})

test('a recording that Ctrl-C ends is whole', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const machine = await sandbox.machine('only')
  const source = tinyRootfs(join(sandbox.directory, 'source'))
  const { link } = await machine.json<Shared>('share', source, '--name', 'tiny')
  const running = machine.start(
    [
      'boot',
      link,
      '--record',
      '--ephemeral',
      '--',
      'sh',
      '-c',
      'cat /etc/os-release; exec sleep 60'
    ],
    { buffer: true }
  )
  running.stdout?.once('data', () => running.kill('SIGINT'))
  const { exitCode } = await running
  t.is(exitCode, 130)
  const [recorded] = profilesOf(machine, link)
  const paths = recorded?.places.map(([path]) => path) ?? []
  t.ok(paths.includes('usr/bin/sleep') || paths.includes('usr/bin/cat'), paths.join(' '))
  t.is(profilesOf(machine, link).length, 1)
})

interface Explained {
  readonly start: {
    readonly totalMs: number
    readonly parts: Readonly<Record<string, number>>
    readonly notAttributedMs: number
    readonly cpu: { readonly daemonMs: number; readonly mounterMs: number } | null
  }
}

/** Chunk numbers of the profile that an image carries, as any reader gets them. */
async function profileIn(machine: Machine, link: string): Promise<ProfileFacts> {
  const client = await DaemonClient.connect(openHome(machine.home))
  try {
    await using stored = await StoredVersion.open(client, ImageReference.parse(link))
    const tree = await stored.reader.tree()
    const profile = await stored.reader.profile(tree.chunks.length)
    if (profile === undefined) throw new Error('it has no profile')
    const { chunks, ready } = profile
    return { chunks, ready, blocks: chunks.map((chunk) => tree.chunks.block[chunk] ?? -1) }
  } finally {
    client[Symbol.dispose]()
  }
}

/** The runtime directory is told by a variable, which this process has not. */
async function withRuntime<T>(sandbox: Sandbox, work: () => Promise<T>): Promise<T> {
  const name = 'DAT_CONTAINER_RUNTIME_DIR'
  process.env[name] = sandbox.sandboxEnvironment[name]
  try {
    return await work()
  } finally {
    delete process.env[name]
  }
}

interface ProfileFacts {
  readonly chunks: readonly number[]
  readonly ready: number
  /** Where each is. */
  readonly blocks: readonly number[]
}

test('share --profile of an init: what its start reads is first', LONG, async (t) => {
  const before = snapshot()
  {
    await using sandbox = await Sandbox.open()
    const publisher = await sandbox.machine('publisher')
    const shared = await publisher.json<SharedProfiled>(
      ...['share', debianRootfs(), '--name', 'profiled', '--profile']
    )
    t.ok(shared.profile.chunks > 100 && shared.profile.ready <= shared.profile.chunks)
    t.is((await publisher.json<Listed[]>('images')).length, 1, 'the first publish is gone')
    const { blocks, ready } = await withRuntime(sandbox, () => profileIn(publisher, shared.link))
    const hot = [...new Set(blocks)]
    t.ok(hot.length < blocks.length / 2, 'small ones share blocks')
    t.alike(
      hot,
      hot.map((_, n) => n),
      'the hot blocks are the first ones, in the order in which they are touched'
    )
    t.is(ready, shared.profile.ready)
    await publisher.ok('verify', 'profiled')

    const reader = await sandbox.machine('reader')
    await reader.ok('boot', shared.link, '-n', 'cold', '-d', '--wait', 'ready')
    const stats = await reader.json<Stats>('stats', 'cold')
    t.is(stats.startOrder, 'image')
    const { fetchedBytes, demandReads, demandBytes } = stats
    t.comment(
      `${demandReads} waited reads, ${demandBytes} of ${fetchedBytes} bytes; ` +
        `the profile's chunks are ${shared.profile.storedBytes}`
    )
    t.ok(demandBytes < fetchedBytes / 2, 'most comes ahead')
    const { start } = await reader.json<Explained>('stats', 'cold', '--explain')
    const { totalMs, parts, notAttributedMs } = start
    const attributed = Object.values(parts).reduce((sum, ms) => sum + ms, 0)
    t.comment(`${JSON.stringify(parts)} of ${totalMs} ms`)
    t.ok(Math.abs(attributed + notAttributedMs - totalMs) < 0.01, 'the parts sum up')
    t.ok(attributed >= 0.95 * totalMs, 'and explain the time until ready')
    t.ok(parts['container']! > 0 && parts['mount']! > 0 && parts['metadata']! > 0)
    t.ok(start.cpu!.daemonMs > 0 && start.cpu!.mounterMs > 0)
    t.ok((await reader.ok('stats', 'cold', '--explain')).includes('not attributed'))
    await reader.ok('rm', '--force', 'cold')
  }
  t.alike(await leftAfter(before), [], 'nothing is left')
})

/** Files that a shell reads from the last to the first, so that none brings its successor along. */
const SCATTERED = 48
const READ_ALL = `n=${SCATTERED}; while [ $n -gt 0 ]; do read x < /data/$n; n=$((n-1)); done; exec sleep 60`

test('share --profile of a command: fewer reads wait than without', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const publisher = await sandbox.machine('publisher')
  const source = tinyRootfs(join(sandbox.directory, 'source'))
  mkdirSync(join(source, 'data'))
  for (let n = 1; n <= SCATTERED; n++) {
    writeFileSync(join(source, `data/${n}`), `${n}\n${randomBytes(30_000).toString('hex')}`)
    // In the index these stand between the others, and are not read.
    for (const other of 'abcdefgh') {
      writeFileSync(join(source, `data/${n}${other}`), randomBytes(20_000))
    }
  }
  const command = ['--', 'sh', '-c', READ_ALL]
  const plain = await publisher.json<Shared>('share', source, '--name', 'plain')
  const shared = await publisher.json<SharedProfiled>(
    ...['share', source, '--name', 'profiled', '--profile', '--profile-for', '3s', ...command]
  )
  t.ok(shared.profile.chunks > SCATTERED)
  const stats: Stats[] = []
  for (const link of [plain.link, shared.link]) {
    const reader = await sandbox.machine(`reader-${stats.length}`)
    await reader.ok('boot', link, '-n', 'cold', '-d', ...command)
    await sleep(3_000)
    stats.push(await reader.json<Stats>('stats', 'cold'))
    await reader.ok('rm', '--force', 'cold')
    await unmounted(join(sandbox.directory, 'run'))
  }
  const [guess, replay] = stats
  if (guess === undefined || replay === undefined) throw new Error('not booted')
  t.alike([guess.startOrder, replay.startOrder], ['guess', 'image'])
  t.comment(
    `${guess.demandReads} waited reads with the guess, ${replay.demandReads} with a profile`
  )
  t.ok(replay.demandReads < guess.demandReads / 2, 'fewer reads wait')

  // An update without --profile has that of the version before, at the places where the files are now.
  writeFileSync(join(source, 'a-new-one'), randomBytes(200_000))
  await publisher.ok('share', source, '--update', 'profiled')
  const carried = await withRuntime(sandbox, () => profileIn(publisher, shared.link))
  t.is(carried.chunks.length, shared.profile.chunks, 'carried over')
  // With --profile, chunks that are here stay where they are, and what is new comes in order.
  writeFileSync(join(source, 'data/48'), `new\n${randomBytes(30_000).toString('hex')}`)
  const again = await publisher.json<SharedProfiled>(
    ...['share', source, '--update', 'profiled', '--profile', '--profile-for', '3s', ...command]
  )
  t.is(again.version, 3)
  t.ok(again.newBytes < 200_000, `${again.newBytes} new bytes`)
  const updated = await withRuntime(sandbox, () => profileIn(publisher, shared.link))
  t.is(updated.chunks.length, shared.profile.chunks)
  await publisher.ok('verify', 'profiled')
  t.is((await publisher.json<Listed[]>('images')).length, 2)
})

test('a profiled share that fails or is interrupted leaves nothing', LONG, async (t) => {
  const before = snapshot()
  {
    await using sandbox = await Sandbox.open()
    const machine = await sandbox.machine('only')
    const source = tinyRootfs(join(sandbox.directory, 'source'))
    const share = ['share', source, '--profile', '--profile-for', '30s']
    const none = await machine.run(...share, '--', 'no-such-program')
    t.is(none.exitCode, 127, none.stderr)
    const failed = await machine.run(...share, '--', 'sh', '-c', 'exit 3')
    t.ok(failed.stderr.includes('ended with exit code 3'), failed.stderr)
    t.is((await machine.run('share', source, '--', 'true')).exitCode, 2, 'only with --profile')

    const catalog = (): unknown[] =>
      (JSON.parse(readFileSync(join(machine.home, 'images.json'), 'utf8')) as { images: unknown[] })
        .images
    for (const signal of ['SIGINT', 'SIGKILL'] as const) {
      const running = machine.start([...share, '--', 'sleep', '100'], {
        forceKillAfterDelay: false,
        ...(signal === 'SIGKILL' ? { stdout: 'ignore', stderr: 'ignore' } : {})
      })
      const runs = async (): Promise<boolean> =>
        (await machine.json<Container[]>('ps')).some(({ state }) => state === 'running')
      while (!(await runs())) await sleep(100)
      running.kill(signal)
      const { exitCode } = await running
      if (signal === 'SIGINT') t.is(exitCode, 130)
      // The next command that mounts ends the container that lost its runner.
      if (signal === 'SIGKILL') await machine.run('umount', sandbox.directory)
      await unmounted(join(sandbox.directory, 'run'))
      while (catalog().length > 0) await sleep(100)
      t.alike(await machine.json<Listed[]>('images'), [], `${signal}: no image is left`)
    }
  }
  t.alike(await leftAfter(before), [], 'nor anything else')
})

test('a profile that is damaged or none is done without', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const machine = await sandbox.machine('only')
  const source = tinyRootfs(join(sandbox.directory, 'source'))
  await machine.ok('daemon', 'start')
  const damages: [what: string, (manifest: Manifest) => PartPointer][] = [
    ['another part', ({ chunkHashes: { base: _none, ...part } }) => part],
    ['a wrong digest', ({ index }) => ({ ...index, digest: `sha256:${'0'.repeat(64)}` })],
    ['too large', ({ index }) => ({ ...index, bytes: 2 ** 40 })]
  ]
  for (const [n, [what, profileOf]] of damages.entries()) {
    const link = await withRuntime(sandbox, async () => {
      using client = await DaemonClient.connect(openHome(machine.home))
      const publish = await Upload.begin(client)
      const image = await writeVersion(await scanDirectory(source), publish, { name: `image-${n}` })
      const manifest = { ...image.manifest, profile: profileOf(image.manifest) }
      return (await publish.commit(manifest)).link
    })
    const name = `container-${n}`
    await machine.ok('boot', link, '-n', name, '-d', '--', 'sleep', '60')
    t.is(
      (await machine.json<Stats>('stats', name)).startOrder,
      'guess',
      `${what}: boots all the same`
    )
    await machine.ok('rm', '--force', name)
    const verified = await machine.run('verify', link)
    t.is(verified.exitCode, 5, `${what}: verify tells`)
    t.ok(/boot profile is damaged/.test(verified.stdout), verified.stdout)
  }
})
