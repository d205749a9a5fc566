import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'brittle'
import type { Failure, Listed, Shared } from './results.ts'
import { LONG, Sandbox, type Machine } from './sandbox.ts'
import { tinyRootfs } from './tiny-rootfs.ts'

const MIB = 1024 * 1024
const CONTENT_BYTES = 24 * MIB
/** Three times of this are pulled. */
const LIMIT_BYTES = 192 * MIB
const IMAGES = 24
/** By so much, the store may pass its limit for a moment. */
const OVER_BYTES = 64 * MIB

interface Limits {
  readonly disk: { readonly maxBytes: number | null }
  readonly maxUp: number | null
  readonly maxDown: number | null
}

interface Evicted {
  readonly images: readonly {
    readonly name: string
    readonly bytes: number
    readonly whole: boolean
  }[]
  readonly bytes: number
  readonly usedBytes: number
}

test(
  'a store stays within max-disk while three times as much is read, and keeps what is in use',
  LONG,
  async (t) => {
    await using sandbox = await Sandbox.open()
    const publisher = await sandbox.machine('publisher')
    const reader = await sandbox.machine('reader')
    const rootfs = tinyRootfs(join(sandbox.directory, 'rootfs'))
    writeFileSync(join(rootfs, 'content'), randomBytes(CONTENT_BYTES))
    const web = await publisher.json<Shared>('share', rootfs, '--name', 'web')
    const links = await shared(sandbox, publisher, IMAGES - 1)
    const [mountedLink = '', pinnedLink = '', ...others] = links
    await reader.ok('daemon', 'start', '--max-disk', `${LIMIT_BYTES}`)
    await using watch = new DiskWatch(join(reader.home, 'store'))

    await reader.ok('pull', web.link)
    await reader.ok('boot', 'web', '-n', 'one', '-d', '--', 'sleep', '1000')
    await reader.ok('stop', '-t', '0', 'one')
    await reader.ok('pull', pinnedLink)
    await reader.ok('pin', 'image-1')
    const directory = join(sandbox.directory, 'mnt')
    mkdirSync(directory)
    await reader.ok('mount', mountedLink, directory)
    const before = await heldOf(reader, 'web', 'image-1')
    const content = readFileSync(join(directory, 'content'))

    let least = before
    for (const link of others) {
      await Promise.all([reader.ok('pull', link), readAgain(directory, content, t)])
      const now = await heldOf(reader, 'web', 'image-1')
      least = least.map((held, n) => Math.min(held, now[n] ?? 0))
    }
    t.alike(least, before, 'blocks of a stopped container’s image and of a pinned one all stay')
    const mounted = await listed(reader, 'image-0')
    t.is(mounted.blocksHeld, mounted.blocksKnown, 'and those of a mounted one')
    const last = await listed(reader, `image-${IMAGES - 2}`)
    t.is(last.blocksHeld, last.blocksKnown, 'the last one is here')
    const gone = (await reader.json<Listed[]>('images')).filter(
      ({ blocksHeld }) => blocksHeld === 0
    )
    t.ok(gone.length > IMAGES / 2, `${gone.length} images went`)
    t.ok(watch.most > LIMIT_BYTES / 2, `the store took up to ${Math.round(watch.most / MIB)} MiB`)
    t.ok(watch.most <= LIMIT_BYTES + OVER_BYTES, `of ${LIMIT_BYTES / MIB} that it may take`)

    // The control: it is the container that holds its image.
    const names = async (): Promise<string[]> => {
      const plan = await reader.json<Evicted>('gc', '--max-disk', '1', '--dry-run')
      return plan.images.map(({ name }) => name)
    }
    const kept = await names()
    t.absent(
      kept.some((name) => ['web', 'image-0', 'image-1'].includes(name)),
      kept.join(' ')
    )
    await reader.ok('rm', 'one')
    await reader.ok('umount', directory)
    await reader.ok('unpin', 'image-1')
    // A mounter waits a moment for its next user.
    await sleep(3_000)
    const free = await names()
    t.ok(
      ['web', 'image-0', 'image-1'].every((name) => free.includes(name)),
      free.join(' ')
    )
  }
)

test('gc --max-disk tells what it would free, and gives it back to the disk', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const publisher = await sandbox.machine('publisher')
  const reader = await sandbox.machine('reader')
  const [first = '', second = '', third = ''] = await shared(sandbox, publisher, 3)
  for (const link of [first, second]) await reader.ok('pull', link)
  await reader.ok('seed', third, '--wait')
  // What was read last goes last.
  await reader.ok('cat', 'image-0', '/name')
  const plan = await reader.json<Evicted>('gc', '--max-disk', '1', '--dry-run')
  t.alike(
    plan.images.map(({ name, whole }) => [name, whole]),
    [
      ['image-1', true],
      ['image-0', true]
    ],
    'what is seeded is not among them'
  )
  t.is((await listed(reader, 'image-1')).blocksHeld > 0, true, 'nothing has gone yet')
  const before = bytesBelow(join(reader.home, 'store'))
  const { bytes, images } = await reader.json<Evicted>(
    'gc',
    '--max-disk',
    `${before - CONTENT_BYTES / 2}`
  )
  t.alike(
    images.map(({ name }) => name),
    ['image-1'],
    'one was enough'
  )
  const freed = before - bytesBelow(join(reader.home, 'store'))
  t.ok(freed > 0.9 * bytes, `${freed} of ${bytes} bytes are free on the disk`)
  await reader.ok('gc', '--max-disk', '1')
  t.is((await listed(reader, 'image-2')).complete, true, 'the seeded one is whole')
  t.is((await listed(reader, 'image-0')).blocksHeld, 0)
  t.is(
    (await reader.ok('cat', 'image-0', '/name')).trim(),
    '0',
    'what went comes again when it is read'
  )
  t.is((await reader.run('gc', '--max-disk', '1M', '--old-versions')).exitCode, 2)
  t.is((await reader.run('gc', '--max-disk', 'much')).exitCode, 2)
})

test(
  'where nothing may be evicted, a pull says so, and reads go on without being stored',
  LONG,
  async (t) => {
    await using sandbox = await Sandbox.open()
    const publisher = await sandbox.machine('publisher')
    const reader = await sandbox.machine('reader')
    const links = await shared(sandbox, publisher, 7)
    await reader.ok('daemon', 'start', '--max-disk', '128M', '--max-up', '50M')
    const { maxUp, maxDown, disk } = await reader.json<Limits>('daemon', 'status')
    t.alike([disk.maxBytes, maxUp, maxDown], [128 * MIB, 50 * MIB, null])
    await using watch = new DiskWatch(join(reader.home, 'store'))
    const refusals: string[] = []
    for (const [n, link] of links.entries()) {
      const ran = await reader.run('--json', 'pull', link)
      if (ran.exitCode === 0) await reader.ok('pin', `image-${n}`)
      else refusals.push(ran.stderr)
    }
    const said = refusals[0] ?? ''
    const { code, message, hint } = (JSON.parse(said) as Failure).error
    t.is(code, 'DISK_FULL')
    t.ok(message.includes('max-disk') && hint?.includes('unpin'), said)
    for (const link of links) {
      const { length } = await reader.bytes('cat', link, '/content')
      t.is(length, CONTENT_BYTES, 'a file is read whole, whether it has room or not')
    }
    const images = await reader.json<Listed[]>('images')
    const held = images.reduce((sum, { blocksHeld }) => sum + blocksHeld, 0)
    const known = images.reduce((sum, { blocksKnown }) => sum + blocksKnown, 0)
    t.ok(held < known, `${held} of ${known} blocks were stored`)
    t.ok(
      watch.most <= 128 * MIB + OVER_BYTES,
      `the store took up to ${Math.round(watch.most / MIB)} MiB`
    )
    const small = await reader.run('daemon', 'start', '--max-disk', '1M')
    t.is(small.exitCode, 2)
    const other = await reader.run('daemon', 'start', '--max-disk', '200M', '--max-up', '2M')
    t.ok(other.stderr.includes('--max-disk, --max-up were ignored'), other.stderr)
  }
)

/** Looks again and again how much disk a directory takes. */
class DiskWatch implements AsyncDisposable {
  most = 0
  readonly #timer: NodeJS.Timeout

  constructor(directory: string) {
    this.#timer = setInterval(() => {
      this.most = Math.max(this.most, bytesBelow(directory))
    }, 50)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer)
  }
}

function bytesBelow(directory: string): number {
  let bytes = 0
  for (const name of readdirSync(directory, { recursive: true, encoding: 'utf8' })) {
    bytes += (statSync(join(directory, name), { throwIfNoEntry: false })?.blocks ?? 0) * 512
  }
  return bytes
}

async function shared(sandbox: Sandbox, publisher: Machine, count: number): Promise<string[]> {
  const links: string[] = []
  for (let n = 0; n < count; n++) {
    const source = join(sandbox.directory, `source-${n}`)
    mkdirSync(source)
    writeFileSync(join(source, 'name'), `${n}\n`)
    // A last newline would be taken off what a command prints.
    const content = Buffer.concat([randomBytes(CONTENT_BYTES - 1), Buffer.from('.')])
    writeFileSync(join(source, 'content'), content)
    const { link } = await publisher.json<Shared>('share', source, '--name', `image-${n}`)
    links.push(link)
    execFileSync('rm', ['-r', source])
  }
  return links
}

async function readAgain(
  directory: string,
  content: Buffer,
  t: { ok: (is: boolean, message: string) => void }
): Promise<void> {
  const read = execFileSync('dd', [`if=${join(directory, 'content')}`, 'bs=1M', 'iflag=nocache'], {
    maxBuffer: 2 * CONTENT_BYTES,
    stdio: ['ignore', 'pipe', 'ignore']
  })
  t.ok(read.equals(content), 'the mounted image reads as before')
}

async function heldOf(machine: Machine, ...names: string[]): Promise<number[]> {
  const images = await machine.json<Listed[]>('images')
  return names.map((name) => images.find((one) => one.name === name)?.blocksHeld ?? -1)
}

async function listed(machine: Machine, name: string): Promise<Listed> {
  const found = (await machine.json<Listed[]>('images')).find((one) => one.name === name)
  if (found === undefined) throw new Error(`${name} is not listed`)
  return found
}
