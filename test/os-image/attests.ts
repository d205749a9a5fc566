import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type test from 'brittle'
import type { AttestRecord, SignedRecord } from '../../src/attest/attest-record.ts'
import { tinyRootfs } from '../e2e/tiny-rootfs.ts'
import type { Machine } from '../e2e/sandbox.ts'

/** The public key of a pair that was made for this test and thrown away. */
const OTHER_KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKE8qv0Xo75tNgiMXvo9V2eP7+0M7PjEFGTmu5AgrBNm'

type Test = ReturnType<typeof test>

interface Attested {
  readonly verified: boolean
  readonly publicKey: string
  readonly record: AttestRecord
}

function sha256Of(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex')
}

/** A machine that runs, and how it was started. */
export interface Attestable {
  /** The home of the user who started it. Its daemon is started, and left running. */
  readonly here: Machine
  /** With the home, and the runtime directory as `run`. */
  readonly directory: string
  readonly name: string
  /** The folder of its image. */
  readonly image: string
  /** The end of its command line, with `retain_initrd` and `probe` in it. */
  readonly append: string
}

/** Runs a container in a machine, and checks what the machine signs of its start and of that. */
export async function attests(t: Test, machine: Attestable): Promise<void> {
  const { here, directory, name, image, append } = machine
  const root = tinyRootfs(join(directory, 'tiny'))
  const { key } = await here.json<{ key: string }>('share', root, '-n', 'tiny')
  await here.ok('boot', '--machine', name, 'tiny', '-n', 'web', '-d', '--', '/bin/sleep', '1000')

  const file = join(directory, 'record')
  const first = await here.json<Attested>('machine', 'attest', name, '--output', file)
  t.ok(first.verified)
  const { record, publicKey } = first
  t.is(record.machine, name)
  t.is(record.kernelTold, sha256Of(join(image, 'vmlinuz')))
  t.is(record.initrdTold, sha256Of(join(image, 'initrd')))
  t.is(record.initrdMeasured, record.initrdTold, 'the guest saw what it was told')
  t.ok(record.commandLine.endsWith(append), record.commandLine)
  const [container] = record.containers
  t.is(container?.name, 'web')
  t.is(container?.key, key)
  t.is(container?.version, 1)
  t.ok(container?.index[0]?.startsWith('sha256:'), 'what its index is')
  const secret = (await here.json<{ link: string }>('info', 'tiny', '--links')).link.split('#')[1]
  t.absent(readFileSync(file, 'utf8').includes(secret?.slice(0, 52) ?? 'none'), 'no secret is told')

  const again = await here.json<Attested>('machine', 'attest', name, '--nonce', '0011223344556677')
  t.is(again.record.nonce, '0011223344556677')
  t.is(again.publicKey, publicKey, 'one key a boot')
  t.not(record.nonce, again.record.nonce)

  const verify = ['machine', 'attest', '--verify', file, '--public-key']
  await here.ok(...verify, publicKey, '--image', image, '--nonce', record.nonce)
  await here.ok(...verify, publicKey, '--command-line', record.commandLine)
  const refused = async (title: string, ...args: string[]): Promise<void> => {
    const ran = await here.run(...args)
    t.is(ran.exitCode, 5, `${title}: ${ran.stderr}`)
  }
  await refused('another key', ...verify, OTHER_KEY)
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
    const state = join(directory, 'run', run, `machines/${name}/state.json`)
    const log = join(here.home, `machines/${name}/console.log`)
    const hosts = join(here.home, `machines/${name}/known_hosts`)
    const table: [string, string, RegExp, string][] = [
      ['command line', state, new RegExp(`host=${name}`), 'host=other'],
      ['key on the console', log, /ssh-ed25519 \S+/g, OTHER_KEY]
    ]
    for (const [title, path, found, instead] of table) {
      const good = readFileSync(path, 'utf8')
      t.ok(found.test(good))
      writeFileSync(path, good.replace(found, instead))
      const ran = await here.run('machine', 'attest', name)
      t.is(ran.exitCode, 5, `${title}: ${ran.stderr}`)
      writeFileSync(path, good)
    }
    t.ok(readFileSync(hosts, 'utf8').includes(record.sshHostKey ?? 'none'))
  })
}
