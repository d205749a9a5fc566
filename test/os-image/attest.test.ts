import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'brittle'
import type { AttestRecord, SignedRecord } from '../../src/attest/attest-record.ts'
import { makeSshKey } from '../../src/machine/guest/ssh-key.ts'
import { tinyRootfs } from '../e2e/tiny-rootfs.ts'
import { Machine } from '../e2e/sandbox.ts'
import { cannotStart, IMAGE } from './guest.ts'

const reason = await cannotStart()

interface Attested {
  readonly verified: boolean
  readonly publicKey: string
  readonly record: AttestRecord
}

function sha256Of(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex')
}

/** A real machine is started; without an image the reason stands in the output. */
void test(
  `a machine signs what it was booted with${reason === undefined ? '' : ` (${reason})`}`,
  { timeout: 15 * 60_000, skip: reason !== undefined },
  async (t) => {
    const directory = await mkdtemp(join(tmpdir(), 'dat-attest-'))
    t.teardown(() => rm(directory, { recursive: true, force: true }))
    const here = new Machine(join(directory, 'home'), {
      DAT_CONTAINER_BOOTSTRAP: '127.0.0.1:9',
      DAT_CONTAINER_RUNTIME_DIR: join(directory, 'run'),
      DAT_CONTAINER_OS_IMAGE: IMAGE
    })
    t.teardown(
      async () => {
        await here.run('machine', 'kill', 'vm')
        await here.run('daemon', 'stop')
      },
      { order: -1 }
    )
    const append = 'retain_initrd probe="a b"'
    const size = ['--memory', '768M', '--disk', 'none']
    await here.ok('machine', 'start', 'vm', ...size, '--append', append)
    const root = tinyRootfs(join(directory, 'tiny'))
    const { key } = await here.json<{ key: string }>('share', root, '-n', 'tiny')
    await here.ok('boot', '--machine', 'vm', 'tiny', '-n', 'web', '-d', '--', '/bin/sleep', '1000')

    const file = join(directory, 'record')
    const first = await here.json<Attested>('machine', 'attest', 'vm', '--output', file)
    t.ok(first.verified)
    const { record, publicKey } = first
    t.is(record.machine, 'vm')
    t.is(record.kernelTold, sha256Of(join(IMAGE, 'vmlinuz')))
    t.is(record.initrdTold, sha256Of(join(IMAGE, 'initrd')))
    t.is(record.initrdMeasured, record.initrdTold, 'the guest saw what it was told')
    t.ok(record.commandLine.endsWith(append), record.commandLine)
    const [container] = record.containers
    t.is(container?.name, 'web')
    t.is(container?.key, key)
    t.is(container?.version, 1)
    t.ok(container?.index[0]?.startsWith('sha256:'), 'what its index is')
    const secret = (await here.json<{ link: string }>('info', 'tiny', '--links')).link.split('#')[1]
    t.absent(
      readFileSync(file, 'utf8').includes(secret?.slice(0, 52) ?? 'none'),
      'no secret is told'
    )

    const again = await here.json<Attested>(
      'machine',
      'attest',
      'vm',
      '--nonce',
      '0011223344556677'
    )
    t.is(again.record.nonce, '0011223344556677')
    t.is(again.publicKey, publicKey, 'one key a boot')
    t.not(record.nonce, again.record.nonce)

    const verify = ['machine', 'attest', '--verify', file, '--public-key']
    await here.ok(...verify, publicKey, '--image', IMAGE, '--nonce', record.nonce)
    await here.ok(...verify, publicKey, '--command-line', record.commandLine)
    const refused = async (name: string, ...args: string[]): Promise<void> => {
      const ran = await here.run(...args)
      t.is(ran.exitCode, 5, `${name}: ${ran.stderr}`)
    }
    await refused('another key', ...verify, makeSshKey('other').publicKey)
    await refused('another nonce', ...verify, publicKey, '--nonce', again.record.nonce)
    const other = record.commandLine.replace('probe', 'prone')
    await refused('another command line', ...verify, publicKey, '--command-line', other)
    await refused('another machine', 'machine', 'attest', 'web', ...verify.slice(2), publicKey)
    const kept = JSON.parse(readFileSync(file, 'utf8')) as SignedRecord
    const changed = { ...kept, record: kept.record.replace('retain_initrd', 'retain_initrf') }
    writeFileSync(file, JSON.stringify(changed))
    await refused('a changed record', ...verify, publicKey)

    await t.test('a machine that is not what this home started', async (t) => {
      const [run = ''] = readdirSync(join(directory, 'run'))
      const state = join(directory, 'run', run, 'machines/vm/state.json')
      const log = join(directory, 'home/machines/vm/console.log')
      const hosts = join(directory, 'home/machines/vm/known_hosts')
      const table: [string, string, RegExp, string][] = [
        ['command line', state, /host=vm/, 'host=vn'],
        ['key on the console', log, /ssh-ed25519 \S+/g, makeSshKey('x').publicKey]
      ]
      for (const [name, path, found, instead] of table) {
        const good = readFileSync(path, 'utf8')
        t.ok(found.test(good))
        writeFileSync(path, good.replace(found, instead))
        const ran = await here.run('machine', 'attest', 'vm')
        t.is(ran.exitCode, 5, `${name}: ${ran.stderr}`)
        writeFileSync(path, good)
      }
      t.ok(readFileSync(hosts, 'utf8').includes(record.sshHostKey ?? 'none'))
    })
  }
)
