import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
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
    for (const [n, [title, code, tamper, change]] of cases.entries()) {
      const secret = DriveWriter.newSecret()
      const writer = await DriveWriter.open({ node, namespace: `${n}`, secret })
      const { manifest, tree } = await writeTinyImage(writer, { QQ: 'content' }, [], tamper)
      await commitTree(writer, change(manifest), tree)
      const { key } = writer
      await writer[Symbol.asyncDispose]()
      const drive = new DriveSession({ node, key, secret, role: 'owner' })
      held.push(drive)
      await drive.open(AbortSignal.timeout(20_000))
      await drive.announced()
      const link = formatLink({ key, secret, version: undefined })
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
    writeFileSync(join(outside, 'passwd'), 'mallory:x:0:0::/:/bin/sh\n')
    const source = tinyRootfs(join(sandbox.directory, 'source'))
    for (const name of ['etc', 'run', 'tmp']) {
      rmSync(join(source, name), { recursive: true })
      execFileSync('ln', ['-s', outside, join(source, name)])
    }
    execFileSync('ln', ['-s', '../../../../../../../../../..', join(source, 'climb')])
    const { link } = await machine.json<Shared>('share', source)
    const boot = ['boot', link, '--ephemeral']
    const asMallory = await machine.run(...boot, '-u', 'mallory', '--', 'id')
    t.ok(asMallory.exitCode !== 0, 'users come from the image, not from where its links point')
    const climbing = await machine.run(...boot, '--', 'ls', '/climb/climb')
    t.absent(
      climbing.stdout.includes('lost+found') || climbing.stdout.includes('boot'),
      'no way up'
    )
    t.is((await machine.run('cat', link, '/etc/passwd')).exitCode, 3)
    t.is((await machine.run('cat', link, `/climb${outside}/passwd`)).exitCode, 3)
    await machine.run(...boot, '-v', `${source}:/etc/bound`, '--', 'true')
    t.absent(existsSync(join(outside, 'bound')), 'a volume is not made outside')
    const names = execFileSync('ls', ['-A', outside]).toString().trim()
    t.is(names, 'passwd', 'nothing was written there')
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
