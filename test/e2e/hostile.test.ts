import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'brittle'
import type { Manifest } from '../../src/image/format/manifest.ts'
import { DriveWriter } from '../../src/p2p/drive/drive-writer.ts'
import { DriveSession } from '../../src/p2p/transfer/drive-session.ts'
import { formatLink } from '../../src/p2p/link.ts'
import { PeerNode } from '../../src/p2p/peers/peer-node.ts'
import { leftAfter, snapshot } from '../boot/leftovers.ts'
import { commitTree, writeTinyImage } from '../p2p/tiny-image.ts'
import type { Failure, Shared } from './results.ts'
import { LONG, Sandbox } from './sandbox.ts'
import { tinyRootfs } from './tiny-rootfs.ts'

test('drives of a hostile publisher are refused before anything is mounted', LONG, async (t) => {
  const before = snapshot()
  {
    await using sandbox = await Sandbox.open()
    const machine = await sandbox.machine('victim')
    const storage = mkdtempSync(join(tmpdir(), 'dat-hostile-'))
    await using node = await PeerNode.open({ storage, bootstrap: sandbox.bootstrap.split(',') })
    const swap = (from: string, to: string) => (packed: Buffer) =>
      Buffer.from(packed.toString('latin1').replaceAll(from, to), 'latin1')
    const lie = (change: (manifest: Manifest) => object) => (manifest: Manifest) =>
      ({ ...manifest, ...change(manifest) }) as Manifest
    const honest = (manifest: Manifest): Manifest => manifest
    const cases: [string, string, (packed: Buffer) => Buffer, (m: Manifest) => Manifest][] = [
      ['a name that climbs out', 'BAD_INDEX', swap('QQ', '..'), honest],
      ['a name with a slash', 'BAD_INDEX', swap('QQ', '/q'), honest],
      ['an empty name', 'BAD_INDEX', swap('QQ', '\0q'), honest],
      ['a truncated index', 'BAD_INDEX', (packed) => packed.subarray(0, -3), honest],
      ['an index of noise', 'BAD_INDEX', (packed) => Buffer.alloc(packed.length, 0xff), honest],
      ['an index that claims more than it has', 'BAD_INDEX', inflate, honest],
      [
        'a digest that does not fit',
        'BAD_INDEX',
        swap('none', 'none'),
        lie(({ index }) => ({ index: { ...index, digest: `sha256:${'0'.repeat(64)}` } }))
      ],
      [
        'an index said to be huge',
        'BAD_INDEX',
        swap('none', 'none'),
        lie(({ index }) => ({ index: { ...index, bytes: 400_000_000 } }))
      ]
    ]
    const held: DriveSession[] = []
    const publish = async (
      name: string,
      tamper: (packed: Buffer) => Buffer,
      change: (manifest: Manifest) => Manifest
    ): Promise<string> => {
      const secret = DriveWriter.newSecret()
      const writer = await DriveWriter.open({ node, namespace: name, secret })
      const { manifest, tree } = await writeTinyImage(writer, { QQ: 'content' }, [], tamper)
      await commitTree(writer, change(manifest), tree)
      const { key } = writer
      await writer[Symbol.asyncDispose]()
      const drive = new DriveSession({ node, key, secret, role: 'owner' })
      held.push(drive)
      await drive.open(AbortSignal.timeout(20_000))
      await drive.announced()
      return formatLink({ key, secret, version: undefined })
    }
    const untouched = await publish('untouched', (packed) => packed, honest)
    t.is(
      await machine.ok('cat', untouched, '/QQ'),
      'content',
      'the same image, left alone, is read'
    )
    for (const [title, code, tamper, change] of cases) {
      const link = await publish(title, tamper, change)
      for (const verb of [['ls'], ['boot']]) {
        const ran = await machine.run('--json', ...verb, link)
        t.is(ran.exitCode, 5, `${title}: ${verb[0]} is refused`)
        t.is((JSON.parse(ran.stderr) as Failure).error.code, code, title)
      }
    }
    t.alike(await machine.json('ps', '-a'), [], 'no container was made')
    for (const drive of held) await drive[Symbol.asyncDispose]()
    rmSync(storage, { recursive: true })
  }
  t.alike(await leftAfter(before), [], 'nothing is left')
})

test('symlinks of an image lead nowhere on this machine', LONG, async (t) => {
  const before = snapshot()
  {
    await using sandbox = await Sandbox.open()
    const machine = await sandbox.machine('victim')
    const outside = join(sandbox.directory, 'outside')
    mkdirSync(outside)
    const mallory = 'mallory:x:1234:1234::/:/bin/sh\n'
    writeFileSync(join(outside, 'passwd'), mallory)
    const share = async (name: string, change: (source: string) => void): Promise<string> => {
      const source = tinyRootfs(join(sandbox.directory, name))
      change(source)
      return (await machine.json<Shared>('share', source, '--name', name)).link
    }
    const boot = (link: string, ...more: string[]) =>
      machine.run('boot', link, '--ephemeral', ...more)
    const volume = ['-v', `${outside}:/shown/here`]

    // The same without links: it boots, and does what the others are asked to.
    const honest = await share('honest', (source) => {
      writeFileSync(join(source, 'etc/passwd'), mallory)
    })
    t.is((await boot(honest, '-u', 'mallory', '--', 'id', '-u')).stdout, '1234')
    t.is((await boot(honest, ...volume, '--', 'ls', '/shown/here')).stdout, 'passwd')

    const linked = await share('linked', (source) => {
      rmSync(join(source, 'etc/passwd'))
      symlinkSync(join(outside, 'passwd'), join(source, 'etc/passwd'))
      symlinkSync(outside, join(source, 'shown'))
      symlinkSync('../../../../../../../../../..', join(source, 'climb'))
    })
    const asMallory = await boot(linked, '-u', 'mallory', '--', 'id')
    t.ok(asMallory.exitCode !== 0, 'users come from the image, not from where its links point')
    t.ok(asMallory.stderr.includes('mallory'), asMallory.stderr)
    const climbing = await boot(linked, '--', 'ls', '/climb/climb')
    t.is(climbing.exitCode, 0, climbing.stderr)
    const seen = climbing.stdout.split('\n')
    t.ok(seen.includes('climb'), 'its own root is as high as it gets')
    // systemd-nspawn makes /var.
    const own = [...readdirSync(join(sandbox.directory, 'linked')), 'var']
    const foreign = readdirSync('/').filter((name) => !own.includes(name))
    t.alike(
      seen.filter((name) => foreign.includes(name)),
      [],
      'no way up'
    )
    t.is((await machine.run('cat', linked, '/etc/passwd')).exitCode, 3)
    t.is((await machine.run('cat', linked, `/climb${outside}/passwd`)).exitCode, 3)
    await boot(linked, ...volume, '--', 'true')
    t.absent(existsSync(join(outside, 'here')), 'a volume is not made outside')

    // In the first three, systemd-nspawn makes files without keeping to the container's root.
    for (const name of ['etc', 'dev', 'run', 'proc', 'sys', 'tmp', 'usr', 'var', 'root', 'bin']) {
      for (const [n, target] of [outside, '../../../../../../../../../..' + outside].entries()) {
        const link = await share(`leading-${name}-${n}`, (source) => {
          rmSync(join(source, name), { recursive: true, force: true })
          symlinkSync(target, join(source, name))
        })
        const ran = await boot(link, '--', 'true')
        const isRefused =
          ran.exitCode === 5 && ran.stderr.includes(`/${name} of this container leads`)
        const isWrittenTo = ['etc', 'dev', 'run'].includes(name)
        t.is(isRefused, isWrittenTo, `${name} -> ${target}: ${ran.exitCode} ${ran.stderr}`)
        t.alike(readdirSync(outside), ['passwd'], `${name}: nothing was written there`)
      }
    }
    const inside = await share('inside', (source) => {
      rmSync(join(source, 'run'), { recursive: true })
      symlinkSync('var/run', join(source, 'run'))
    })
    t.is(
      (await boot(inside, '--', 'true')).exitCode,
      0,
      'a link that stays within is none of these'
    )
  }
  t.alike(await leftAfter(before), [], 'nothing is left')
})

/** The first counts follow the header: make them as large as a varint of eight bytes can say. */
function inflate(packed: Buffer): Buffer {
  const HEADER_BYTES = 8
  return Buffer.concat([
    packed.subarray(0, HEADER_BYTES),
    Buffer.alloc(7, 0xff),
    Buffer.from([0x7f]),
    packed.subarray(HEADER_BYTES + 1)
  ])
}
