import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'brittle'
import { formatManifest } from '../../os-image/manifest.ts'
import { generateKeys, parseSecretKey, signManifest } from '../../os-image/sign.ts'
import { cpioOfFiles } from '../../src/machine/netboot/cpio-entry.ts'
import { NETBOOT_CHECK } from '../../src/machine/netboot/netboot-script.ts'
import { SOFTWARE_CPU } from '../../src/machine/qemu/qemu-plan.ts'
import { IMAGE } from './guest.ts'
import { cannotNetboot, NetbootMachine } from './netboot-lan.ts'

const reason = await cannotNetboot()
const options = { timeout: 15 * 60_000, skip: reason !== undefined }
const titled = (title: string): string => (reason === undefined ? title : `${title} (${reason})`)

const INITRD = Buffer.from('an initrd for tests of what comes before it is unpacked')
const DIGEST = createHash('sha256').update(INITRD).digest('hex')
/** What the first stage says once all is checked, as this initrd is none. */
const PASSED = 'refused: the initrd does not unpack'

function manifestOf(sha256: string): string {
  const files = ['vmlinuz', 'initrd'].map((name) => ({ name, bytes: INITRD.length, sha256 }))
  return formatManifest({
    arch: 'amd64',
    version: '1.0.0',
    epoch: 1,
    released: 1,
    files,
    packages: [],
    nodePackages: []
  })
}

void test(titled('the first stage starts nothing but what it was told'), options, async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'dat-netboot-check-'))
  t.teardown(() => rm(directory, { recursive: true }))
  const { publicKey, secretKey } = generateKeys()
  const [, key = ''] = publicKey.split('\n')
  const [, other = ''] = generateKeys().publicKey.split('\n')
  const manifest = manifestOf(DIGEST)
  const signed = {
    'manifest.json': manifest,
    'manifest.json.minisig': signManifest(parseSecretKey(secretKey), manifest, 1)
  }
  const changed = manifest.replace('hyperos', 'hyperoS')
  const table: [says: string, words: string, files: Record<string, string>][] = [
    [PASSED, `dat.sha256=${DIGEST} dat.pubkey=${key}`, signed],
    ['refused: the command line has neither', '', signed],
    [`refused: the initrd has the SHA-256 ${DIGEST}`, `dat.sha256=${'0'.repeat(64)}`, {}],
    ['refused: the manifest is not signed', `dat.pubkey=${other}`, signed],
    [
      'refused: the manifest is not signed',
      `dat.sha256=${DIGEST} dat.pubkey=${key}`,
      { ...signed, 'manifest.json': changed }
    ],
    [
      'refused: the manifest is not what it was made as',
      `dat.sha256=${DIGEST}`,
      { 'manifest.json': changed }
    ],
    [
      'refused: the initrd is not what its manifest says',
      `dat.sha256=${DIGEST}`,
      { 'manifest.json': manifestOf('f'.repeat(64)) }
    ]
  ]
  const stage = readFileSync(join(IMAGE, NETBOOT_CHECK))
  const aligned = Buffer.concat([stage, Buffer.alloc(-stage.length & 3)])
  for (const [index, [says, words, files]] of table.entries()) {
    const contents = Object.entries(files).map(([name, text]) => [name, Buffer.from(text)] as const)
    const archive = cpioOfFiles('netboot', new Map([...contents, ['initrd', INITRD]]))
    const [initrd, serial] = ['initrd', 'serial'].map((name) => join(directory, `${name}${index}`))
    writeFileSync(initrd!, Buffer.concat([aligned, archive]))
    await using machine = new NetbootMachine(
      [
        ...['qemu-system-x86_64', '-M', 'q35', '-accel', 'tcg', '-cpu', SOFTWARE_CPU, '-m', '256'],
        ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
        ...['-kernel', join(IMAGE, 'vmlinuz'), '-initrd', initrd!, '-serial', `file:${serial}`],
        ...['-append', `console=ttyS0 panic=5 ${words}`]
      ],
      serial!
    )
    await machine.says('netboot: refused: ')
    await machine.says('netboot: this machine starts anew')
    t.ok(machine.said().includes(`netboot: ${says}`), says)
  }
})
