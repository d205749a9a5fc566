import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'brittle'
import { findProgram } from '../../../src/machine/qemu/find-qemu.ts'
import { attests } from '../../os-image/attests.ts'
import { MachineSandbox, type Shown } from '../machine-fixture.ts'
import { findGuests } from '../running-guests.ts'

const IMAGE = fileURLToPath(new URL('../../../../os-image/dist', import.meta.url))
const reason = !existsSync(join(IMAGE, 'manifest.json'))
  ? 'no HyperOS image is built (npm run os-image)'
  : findProgram('linux', 'qemu-system-x86_64') === undefined
    ? 'there is no QEMU'
    : undefined
const skip = reason !== undefined
/** A test that is left out tells why. */
const titled = (title: string): string => (skip ? `${title} (${reason})` : title)
/** In software it takes half a minute; this only ends what hangs. */
const SLOW = { timeout: 900_000 }

test(
  titled(
    'HyperOS: an encrypted disk that keeps, a shared directory, an orderly end, a signed start'
  ),
  { ...SLOW, skip },
  async (t) => {
    await using sandbox = new MachineSandbox()
    const home = sandbox.home('only', {
      DAT_CONTAINER_OS_IMAGE: IMAGE,
      // Nobody answers there: what the guest gets, it gets from this machine's daemon.
      DAT_CONTAINER_BOOTSTRAP: '127.0.0.1:9'
    })
    await using _daemon = {
      [Symbol.asyncDispose]: async () => void (await home.run('daemon', 'stop'))
    }
    const shared = join(sandbox.directory, 'shared')
    mkdirSync(shared)
    writeFileSync(join(shared, 'in'), 'from outside\n')
    const options = [
      '--memory',
      '512M',
      '--cpus',
      '1',
      '--disk',
      '1G',
      '--encrypt',
      '--share',
      `${shared}:/srv/shared`
    ]
    const started = await home.json<Shown>('machine', 'start', 'hyper', ...options)
    t.is(started.state, 'running')
    const line = async (command: string): Promise<string> =>
      home.ok('machine', 'ssh', 'hyper', '--', command)
    t.is(await line('hostname'), 'hyper')
    t.is(await line('cat /srv/shared/in; echo from inside > /srv/shared/out'), 'from outside')
    t.is(readFileSync(join(shared, 'out'), 'utf8'), 'from inside\n')
    const mounts = await line('cat /proc/mounts')
    t.ok(mounts.includes('/dev/mapper/hyperos-data /var/lib/dat-container ext4'), mounts)
    const marker = randomBytes(32).toString('hex')
    await line(`echo ${marker} > /var/lib/dat-container/probe; sync`)
    t.is((await home.json<{ encrypted: boolean }>('machine', 'status', 'hyper')).encrypted, true)
    const { directory, pid } = await home.json<Shown & { directory: string }>(
      ...['machine', 'status', 'hyper']
    )
    const key = readFileSync(join(directory, 'data.key'))
    t.is(statSync(join(directory, 'data.key')).mode & 0o777, 0o600)
    const argv = readFileSync(`/proc/${pid}/cmdline`)
    t.ok(argv.includes(`-initrd\0${directory}/initrd\0`), 'the initrd was unpacked for it')
    t.absent(existsSync(join(directory, 'initrd')), 'and is not kept')
    for (const encoding of ['latin1', 'hex', 'base64'] as const) {
      t.absent(argv.includes(key.toString(encoding), 0, 'latin1'), `no key in ${encoding}`)
    }
    t.alike(await home.json('machine', 'stop', 'hyper'), [{ name: 'hyper', orderly: true }])
    const disk = readFileSync(join(directory, 'data'))
    t.ok(disk.includes('LUKS'), 'what lies on the disk is encrypted')
    t.absent(disk.includes(marker), 'and nothing that was written is on it as it was')

    const otherKey = join(sandbox.directory, 'other.key')
    writeFileSync(otherKey, randomBytes(32), { mode: 0o600 })
    const wrong = await home.run('machine', 'start', 'hyper', '--key-file', otherKey)
    t.is(wrong.exitCode, 1)
    t.ok(wrong.stderr.includes('the key does not open'), wrong.stderr)
    t.is((await home.run('machine', 'status', 'hyper')).exitCode, 3, 'it does not run')
    t.alike(findGuests(sandbox.directory), [])

    const append = 'retain_initrd probe="a b"'
    await home.ok('machine', 'start', 'hyper', '--memory', '768M', '--append', append)
    t.is(await line('cat /var/lib/dat-container/probe'), marker, 'the next start has the right key')
    const { directory: whole } = sandbox
    await t.test('it signs what it was booted with', (t) =>
      attests(t, { here: home, directory: whole, name: 'hyper', image: IMAGE, append })
    )
  }
)
