import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'brittle'
import { generateKeys } from '../../../os-image/sign.ts'
import type { ImageList } from '../../../src/machine/os-image/list-images.ts'
import { compareReleases } from '../../../src/machine/os-image/release-order.ts'
import type { Upgraded } from '../../../src/machine/os-image/upgrade.ts'
import type { Shared } from '../../e2e/results.ts'
import { LONG, Sandbox, type Machine } from '../../e2e/sandbox.ts'
import { whyNoGuest, type Shown } from '../machine-fixture.ts'
import { writeImage } from '../small-image.ts'
import { standInGuest } from '../stand-in-guest.ts'

const DAY = 86_400
const FIRST = 1_760_000_000
const MIB = 1024 ** 2

/** What `--json` says of an error. */
function errorOf(stderr: string): { code: string; message: string } {
  return (JSON.parse(stderr) as { error: { code: string; message: string } }).error
}

async function refused(machine: Machine, ...args: string[]): Promise<string> {
  const ran = await machine.run('--json', 'machine', ...args)
  return ran.exitCode === 0 ? 'not refused' : `${ran.exitCode} ${errorOf(ran.stderr).message}`
}

/** Digests of what is installed, the current one first, and whether anything else lies there. */
async function installed(machine: Machine): Promise<string[]> {
  const { images } = await machine.json<ImageList>('machine', 'images')
  const digests = images.flatMap(({ kind, digest }) =>
    kind === 'current' || kind === 'previous' ? [digest ?? 'damaged'] : []
  )
  const folder = join(machine.home, 'os-image')
  const entries = existsSync(folder) ? readdirSync(folder).sort() : []
  const expected = digests.length === 0 ? [] : [...digests, 'installed.json'].sort()
  return JSON.stringify(entries) === JSON.stringify(expected) ? digests : ['leftovers', ...entries]
}

/** An image folder that a publisher shares, and shares again when it has changed. */
class Publisher {
  readonly machine: Machine
  readonly directory: string
  link = ''

  constructor(machine: Machine, directory: string) {
    this.machine = machine
    this.directory = directory
  }

  async publish(image: Parameters<typeof writeImage>[1]): Promise<string> {
    rmSync(this.directory, { recursive: true, force: true })
    const digest = writeImage(this.directory, image)
    await this.share()
    return digest
  }

  async share(): Promise<void> {
    const how = this.link === '' ? ['-n', 'hyperos'] : ['--update', this.link]
    const { link } = await this.machine.json<Shared>('share', this.directory, ...how)
    if (this.link === '') this.link = link
  }
}

/** Who publishes releases, who takes them, and a key pair: `key` is the public one as users give it. */
async function parties(sandbox: Sandbox) {
  const user = await sandbox.machine('user')
  const home = await sandbox.machine('publisher')
  const publisher = new Publisher(home, join(sandbox.directory, 'dist'))
  const { secretKey, publicKey } = generateKeys()
  const [, key = ''] = publicKey.split('\n')
  return { user, publisher, secretKey, key }
}

test('HyperOS is upgraded from peers, and rolled back', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const user = await sandbox.machine('user')
  const publisher = new Publisher(
    await sandbox.machine('publisher'),
    join(sandbox.directory, 'dist')
  )
  const { secretKey, publicKey } = generateKeys()
  const keyFile = join(sandbox.directory, 'hyperos.pub')
  writeFileSync(keyFile, publicKey)
  const one = await publisher.publish({ version: '0.1.0', released: FIRST, secretKey })
  const { link } = publisher

  t.is(await refused(user, 'upgrade'), '2 this home does not know where its HyperOS comes from')
  t.is(await refused(user, 'upgrade', link), '2 this home does not trust a key for HyperOS yet')
  const other = generateKeys()
  const [, otherKey = ''] = other.publicKey.split('\n')
  t.ok((await refused(user, 'upgrade', link, '--public-key', otherKey)).startsWith('5 '))
  t.alike(await installed(user), [])

  const looked = await user.json<Upgraded>(
    ...['machine', 'upgrade', link, '--check', '--public-key', keyFile]
  )
  t.is(looked.state, 'available')
  t.alike(await installed(user), [], 'looking installs nothing')
  const first = await user.json<Upgraded>('machine', 'upgrade', link, '--public-key', keyFile)
  t.is(first.state, 'installed')
  t.is(first.image.digest, one)
  t.is(first.image.version, '0.1.0')
  t.alike(await installed(user), [one])
  const folder = join(user.home, 'os-image', one)
  t.alike(
    readdirSync(folder).sort(),
    ['initrd', 'manifest.json', 'manifest.json.minisig', 'vmlinuz'],
    'only what is started was fetched'
  )
  for (const name of readdirSync(folder)) {
    t.alike(readFileSync(join(folder, name)), readFileSync(join(publisher.directory, name)), name)
  }
  t.is((await user.json<Upgraded>('machine', 'upgrade')).state, 'current', 'link and key are known')

  const two = await publisher.publish({ version: '0.1.0', released: FIRST + DAY, secretKey })
  t.is((await user.json<Upgraded>('machine', 'upgrade', '--check')).state, 'available')
  t.is((await user.json<Upgraded>('machine', 'upgrade')).before?.digest, one)
  t.alike(await installed(user), [two, one])
  t.ok(
    (await refused(user, 'upgrade', '--public-key', otherKey)).startsWith('5 this home trusts'),
    'another key is not taken unasked'
  )

  await user.ok('machine', 'rollback')
  t.alike(await installed(user), [one, two])
  t.is((await user.json<Upgraded>('machine', 'upgrade')).image.digest, two)
  t.alike(await installed(user), [two, one])
  const three = await publisher.publish({ version: '0.2.0', released: FIRST, secretKey })
  await user.ok('machine', 'upgrade')
  t.alike(await installed(user), [three, two], 'the last but one is gone')

  await t.test('what is refused changes nothing', async (t) => {
    const before = await installed(user)
    await publisher.publish({ version: '0.1.9', released: FIRST + 9 * DAY, secretKey })
    t.ok((await refused(user, 'upgrade')).includes('is older than the installed'))
    await publisher.publish({ version: '0.3.0', released: FIRST })
    t.ok((await refused(user, 'upgrade')).includes('not signed'))
    await publisher.publish({ version: '0.3.0', released: FIRST, secretKey: other.secretKey })
    t.ok((await refused(user, 'upgrade', '--allow-unsigned')).includes('signature is not valid'))
    await publisher.publish({ version: '0.3.0', released: FIRST, secretKey })
    for (const name of ['manifest.json', 'manifest.json.minisig', 'vmlinuz', 'initrd']) {
      const path = join(publisher.directory, name)
      const good = readFileSync(path)
      const bad = Buffer.from(good)
      bad[Math.floor(bad.length / 2)] = (bad[Math.floor(bad.length / 2)] ?? 0) ^ 1
      writeFileSync(path, bad)
      await publisher.share()
      t.ok((await refused(user, 'upgrade')).startsWith('5 '), `a flipped bit in ${name}`)
      writeFileSync(path, Buffer.concat([good, Buffer.from('x')]))
      await publisher.share()
      t.ok((await refused(user, 'upgrade')).startsWith('5 '), `a byte more in ${name}`)
      writeFileSync(path, good)
    }
    t.alike(await installed(user), before)
  })

  const unsigned = await publisher.publish({ version: '0.3.0', released: FIRST })
  t.is((await user.json<Upgraded>('machine', 'upgrade', '--allow-unsigned')).image.signedBy, null)
  t.alike(await installed(user), [unsigned, three])
  const old = await publisher.publish({
    ...{ version: '0.0.1', released: FIRST, secretKey: other.secretKey }
  })
  const replace = ['--public-key', otherKey, '--replace-key', '--allow-downgrade']
  t.is((await user.json<Upgraded>('machine', 'upgrade', ...replace)).image.digest, old)
  t.is((await user.json<ImageList>('machine', 'images')).publicKey, otherKey)

  writeFileSync(join(user.home, 'os-image', old, 'initrd'), 'damaged')
  t.is((await user.json<Upgraded>('machine', 'upgrade')).state, 'installed', 'mended')
  t.alike(await installed(user), [old, unsigned])
  await publisher.machine.ok('daemon', 'stop')
  t.ok((await refused(user, 'upgrade', '--peer-timeout', '2s')).startsWith('4 '))
  t.is((await user.json<Upgraded>('machine', 'upgrade', '--offline')).state, 'current')
  await publisher.machine.ok('daemon', 'start')
  t.is(
    (
      await publisher.machine.json<Upgraded>(
        ...['machine', 'upgrade', 'hyperos', '--public-key', otherKey]
      )
    ).state,
    'installed',
    'a publisher needs nobody to know what is newest'
  )
})

test('an upgrade that is interrupted leaves what there was, or what is new', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const { user, publisher, secretKey, key } = await parties(sandbox)
  let before = await publisher.publish({ version: '1.0.0', released: FIRST, secretKey })
  await user.ok('machine', 'upgrade', publisher.link, '--public-key', key)
  let released = FIRST
  const folder = join(user.home, 'os-image')
  /** How far it is when it is interrupted. */
  const moments: Record<string, (digest: string) => boolean> = {
    'before anything is written': () => true,
    'with a part of the kernel': (digest) => existsSync(join(folder, `${digest}.partial`)),
    'with a part of the initrd': (digest) => {
      const partial = join(folder, `${digest}.partial`)
      return existsSync(partial) && readdirSync(partial).some((name) => name.startsWith('initrd'))
    }
  }
  for (const signal of ['SIGINT', 'SIGKILL'] as const) {
    for (const [moment, isReached] of Object.entries(moments)) {
      released += DAY
      const next = await publisher.publish({
        ...{ version: '1.0.0', released, secretKey, initrdBytes: 16 * MIB }
      })
      const running = user.start(['machine', 'upgrade'], { forceKillAfterDelay: false })
      while (running.exitCode === null && !isReached(next)) await sleep(1)
      running.kill(signal)
      await running
      const [current] = (await user.json<ImageList>('machine', 'images')).images
      const name = `${signal} ${moment}`
      t.ok([before, next].includes(current?.digest ?? ''), name)
      const left = readdirSync(folder).filter((entry) => entry.endsWith('.partial'))
      if (signal === 'SIGINT') t.alike(left, [], `${name}: nothing is left`)
      await user.ok('machine', 'upgrade')
      t.is((await installed(user))[0], next, 'the next one gets there, and clears up')
      before = next
    }
  }
})

const noMount = process.getuid?.() !== 0
test(
  `a full disk leaves what there was${noMount ? ' (mounting takes root)' : ''}`,
  { ...LONG, skip: noMount },
  async (t) => {
    await using sandbox = await Sandbox.open()
    const { user, publisher, secretKey, key } = await parties(sandbox)
    const folder = join(user.home, 'os-image')
    execFileSync('mkdir', [folder])
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', folder])
    try {
      const one = await publisher.publish({ version: '1.0.0', released: FIRST, secretKey })
      await user.ok('machine', 'upgrade', publisher.link, '--public-key', key)
      const big = { version: '2.0.0', released: FIRST, secretKey, initrdBytes: 4 * MIB }
      await publisher.publish(big)
      const ran = await user.run('--json', 'machine', 'upgrade')
      t.is(errorOf(ran.stderr).code, 'DISK_FULL')
      t.alike(await installed(user), [one])
    } finally {
      execFileSync('umount', [folder])
    }
  }
)

const guestReason = whyNoGuest()
test(
  `machines start what was upgraded${guestReason === undefined ? '' : ` (${guestReason})`}`,
  { ...LONG, skip: guestReason !== undefined },
  async (t) => {
    await using sandbox = await Sandbox.open()
    const { user, publisher, secretKey, key } = await parties(sandbox)
    const { kernel, initrd } = standInGuest()
    const content = { vmlinuz: readFileSync(kernel), initrd: readFileSync(initrd) }
    const one = await publisher.publish({ version: '1.0.0', released: FIRST, secretKey, content })
    await user.ok('machine', 'upgrade', publisher.link, '--public-key', key)
    /** The folder whose initrd the machine's QEMU has. */
    const runs = async (): Promise<string | undefined> => {
      const { pid } = await user.json<Shown>('machine', 'status', 'web')
      const argv = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
      return argv[argv.indexOf('-initrd') + 1]?.split('/').at(-2)
    }
    try {
      const small = ['--accel', 'tcg', '--memory', '256M', '--disk', 'none', '--timeout', '4m']
      await user.ok('machine', 'start', 'web', ...small, '--pubkey', key)
      t.is(await runs(), one)
      // An initrd of two archives is one that the kernel takes.
      const longer = { ...content, initrd: Buffer.concat([content.initrd, Buffer.alloc(512)]) }
      const next = { version: '1.0.1', released: FIRST, secretKey, content: longer }
      const two = await publisher.publish(next)
      const upgraded = await user.json<Upgraded>('machine', 'upgrade')
      t.alike(upgraded.running, ['web'], 'it is named that a machine runs')
      t.is(await runs(), one, 'which keeps what it was started with')
      await user.ok('machine', 'restart', 'web', '--timeout', '4m')
      t.is(await runs(), two)
      t.is(await user.ok('machine', 'ssh', 'web', '--', 'hostname'), 'web')
      writeFileSync(join(user.home, 'os-image', two, 'vmlinuz'), 'damaged')
      await user.ok('machine', 'kill', 'web')
      t.is(
        (await user.run('machine', 'start', 'web')).exitCode,
        5,
        'no other one is started instead'
      )
      await user.ok('machine', 'rollback')
      await user.ok('machine', 'start', 'web', '--timeout', '4m')
      t.is(await runs(), one)
    } finally {
      await user.run('machine', 'rm', '-f', 'web')
    }
  }
)

test('releases in their order', (t) => {
  const order = [
    {},
    { released: '2025-08-09T00:00:00.000Z' },
    { version: '0.1.0', released: null },
    { version: '0.1.0', released: '2025-08-09T00:00:00.000Z' },
    { version: '0.1.0-rc1', released: '2026-08-09T00:00:00.000Z' },
    { version: '0.2.0', released: '2024-08-09T00:00:00.000Z' },
    { version: '0.10.0' },
    { version: '1.0.0' }
  ]
  for (const [a, older] of order.entries()) {
    for (const [b, newer] of order.entries()) {
      t.is(Math.sign(compareReleases(older, newer)), Math.sign(a - b), `${a} and ${b}`)
    }
  }
})
