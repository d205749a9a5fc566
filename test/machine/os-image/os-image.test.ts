import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createHash } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'brittle'
import { generateKeys, parseSecretKey, signManifest } from '../../../os-image/sign.ts'
import { isContainerError } from '../../../src/core/errors.ts'
import { sealManifest, UNSET_DIGEST } from '../../../src/machine/os-image/manifest-digest.ts'
import { openImage } from '../../../src/machine/os-image/os-image.ts'
import { parseOsManifest } from '../../../src/machine/os-image/os-manifest.ts'

function manifestText(change: Record<string, unknown> = {}): string {
  const sha256 = createHash('sha256').update('content').digest('hex')
  const files = ['vmlinuz', 'initrd'].map((name) => ({ name, bytes: 7, sha256 }))
  const manifest = { format: 1, arch: 'amd64', digest: UNSET_DIGEST, files, ...change }
  return sealManifest(`${JSON.stringify(manifest, null, 2)}\n`)
}

function makeImage(): string {
  const directory = mkdtempSync(join(tmpdir(), 'dat-os-image-'))
  for (const name of ['vmlinuz', 'initrd']) writeFileSync(join(directory, name), 'content')
  writeFileSync(join(directory, 'manifest.json'), manifestText())
  return directory
}

void test('an image that is what its manifest says', async (t) => {
  const directory = makeImage()
  t.teardown(() => rmSync(directory, { recursive: true }))
  const sha256 = createHash('sha256').update('content').digest('hex')
  t.alike(await openImage(directory), {
    kernel: join(directory, 'vmlinuz'),
    initrd: join(directory, 'initrd'),
    kernelSha256: sha256,
    initrdSha256: sha256,
    architecture: 'x64'
  })
})

void test('an image for another architecture is refused', async (t) => {
  const directory = makeImage()
  t.teardown(() => rmSync(directory, { recursive: true }))
  t.is((await openImage(directory, { architecture: 'x64' })).architecture, 'x64')
  const refused = openImage(directory, { architecture: 'arm64' })
  await t.exception(() => refused, /is for amd64, not arm64/)
  writeFileSync(join(directory, 'manifest.json'), manifestText({ arch: undefined }))
  t.ok(await openImage(directory, { architecture: 'arm64' }), 'one that tells none is taken')
})

void test('a flipped bit anywhere is refused', async (t) => {
  const directory = makeImage()
  t.teardown(() => rmSync(directory, { recursive: true }))
  for (const name of ['vmlinuz', 'initrd', 'manifest.json']) {
    const path = join(directory, name)
    const good = readFileSync(path)
    let refused = 0
    for (let at = 0; at < good.length; at++) {
      const bad = Buffer.from(good)
      bad[at] = (bad[at] ?? 0) ^ (1 << (at % 8))
      writeFileSync(path, bad)
      const error: unknown = await openImage(directory).then(
        () => undefined,
        (thrown: unknown) => thrown
      )
      if (!isContainerError(error, 'BAD_MANIFEST', 'BAD_SOURCE')) {
        t.fail(`${name}, byte ${at}: ${String(error)}`)
      }
      refused++
    }
    writeFileSync(path, good)
    t.ok(refused > 0, `${name}: looked at each of ${refused} bytes`)
    t.ok(await openImage(directory), 'and it is taken when it is whole')
  }
  rmSync(join(directory, 'initrd'))
  await t.exception(() => openImage(directory), /initrd cannot be read/)
})

void test('signatures of the manifest', async (t) => {
  const directory = makeImage()
  t.teardown(() => rmSync(directory, { recursive: true }))
  const { publicKey, secretKey } = generateKeys()
  const path = join(directory, 'manifest.json')
  const text = readFileSync(path, 'utf8')
  const refused = async (name: string, by = publicKey): Promise<void> => {
    const error: unknown = await openImage(directory, { publicKey: by }).then(
      () => undefined,
      (thrown: unknown) => thrown
    )
    t.ok(isContainerError(error, 'BAD_SOURCE'), `${name}: ${String(error)}`)
  }
  await refused('no signature')
  writeFileSync(`${path}.minisig`, signManifest(parseSecretKey(secretKey), text, 1))
  t.ok((await openImage(directory, { publicKey })).signedComment?.startsWith('timestamp:1'))
  const keyFile = join(directory, 'key.pub')
  writeFileSync(keyFile, publicKey)
  t.ok((await openImage(directory, { publicKey: keyFile })).signedComment, 'a key file')
  await refused('another key', generateKeys().publicKey)
  writeFileSync(path, text.replace('"format": 1', '"format": 2'))
  await refused('a changed manifest')
})

void test('manifests that are none', (t) => {
  const table: [string, string][] = [
    ['', 'does not parse'],
    ['[]', 'is no object'],
    ['{}', 'digest'],
    [manifestText({ digest: undefined }), 'digest'],
    [manifestText({ files: undefined }), 'files'],
    [manifestText({ files: [] }), 'vmlinuz'],
    [
      manifestText({ files: [{ name: '../vmlinuz', bytes: 1, sha256: 'f'.repeat(64) }] }),
      'another directory'
    ],
    [manifestText({ files: [{ name: 'vmlinuz', bytes: 1, sha256: 'x' }] }), 'SHA-256'],
    [manifestText({ arch: 'vax' }), 'architecture'],
    [manifestText({ version: 'new' }), 'version'],
    [manifestText({ released: 'yesterday' }), 'when it was made'],
    [manifestText().replace('amd64', 'arm64'), 'digest']
  ]
  for (const [text, reason] of table) {
    try {
      parseOsManifest(text)
      t.fail(reason)
    } catch (error) {
      t.ok(isContainerError(error, 'BAD_MANIFEST') && error.message.includes(reason), String(error))
    }
  }
  t.is(parseOsManifest(manifestText({ arch: 'arm64' })).architecture, 'arm64')
  t.is(parseOsManifest(manifestText({ arch: undefined })).architecture, undefined)
  const created = '2025-08-09T00:00:00.000Z'
  const old = parseOsManifest(manifestText({ created }))
  t.is(old.version, undefined)
  t.is(old.released, created, 'older manifests tell when they were created')
  const released = '2026-08-09T00:00:00.000Z'
  const recent = parseOsManifest(manifestText({ created, released, version: '0.1.0' }))
  t.is(recent.version, '0.1.0')
  t.is(recent.released, released)
})
