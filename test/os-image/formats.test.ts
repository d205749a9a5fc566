import test from 'brittle'
import { cpioArchive } from '../../os-image/cpio.ts'
import { elfMachine, neededLibraries } from '../../os-image/elf.ts'
import { FileTree } from '../../os-image/file-tree.ts'
import { checkConfig, configFor } from '../../os-image/kernel.ts'
import { formatLock, parseLock } from '../../os-image/package-lock.ts'
import { PathPatterns } from '../../os-image/patterns.ts'
import { generateKeys, parseSecretKey, signManifest } from '../../os-image/sign.ts'
import { readFileSync } from 'node:fs'
import { execa } from 'execa'
import { isContainerError } from '../../src/core/errors.ts'
import { parsePublicKey, verifyMinisign } from '../../src/machine/os-image/minisign.ts'

const OWNER = { uid: 0, gid: 0 }

void test('locks', (t) => {
  const zeros = '0'.repeat(64)
  const packages = [
    { arch: 'amd64', name: 'libstdc++6', version: '14.2.0-19', sha256: zeros },
    { arch: 'amd64', name: 'busybox', version: '1:1.37.0-6+b9', sha256: zeros },
    { arch: 'arm64', name: 'busybox', version: '1:1.37.0-6+b9', sha256: zeros }
  ] as const
  const text = formatLock(packages)
  t.alike(parseLock(text), [packages[1], packages[0], packages[2]])
  t.is(formatLock(parseLock(text)), text)
  for (const bad of [
    `amd64 busybox 1.0 ${zeros.slice(1)}`,
    `mips busybox 1.0 ${zeros}`,
    `amd64 ../busybox 1.0 ${zeros}`,
    `amd64 busybox 1.0;x ${zeros}`,
    `amd64 busybox 1.0 ${zeros}\namd64 busybox 1.1 ${zeros}`
  ]) {
    t.exception(() => parseLock(bad), bad)
  }
})

void test('lists of paths', (t) => {
  const list = new PathPatterns('# no\nusr/share\n!usr/share/a*/**.js # yes\nusr/lib/*.so.?\n')
  const table: [string, boolean][] = [
    ['usr/share', true],
    ['usr/share/man/man1', true],
    ['usr/shared', false],
    ['usr/share/acorn/dist/acorn.js', false],
    ['usr/share/acorn/dist/acorn.mjs', true],
    ['usr/lib/libm.so.6', true],
    ['usr/lib/libm.so.66', false],
    ['usr/lib/x/libm.so.6', false]
  ]
  for (const [path, isHit] of table) t.is(list.has(path), isHit, path)
})

void test('a tree becomes the archive that cpio reads', async (t) => {
  const tree = new FileTree()
  tree.set('lib/file', {
    kind: 'file',
    content: Buffer.from('text\n'),
    mode: 0o4755,
    uid: 1,
    gid: 2
  })
  tree.set('usr/link', { kind: 'symlink', target: 'lib/file', mode: 0o777, ...OWNER })
  tree.set('dev/console', { kind: 'character', mode: 0o600, major: 5, minor: 1, ...OWNER })
  const archive = cpioArchive(tree, 1_000_000_000)
  const { stdout } = await execa('bsdcpio', ['-itvn', '--quiet'], {
    input: archive,
    env: { TZ: 'UTC', LC_ALL: 'C' }
  })
  const lines = stdout.split('\n').map((line) => line.replace(/ +/g, ' '))
  t.alike(lines, [
    'drwxr-xr-x 2 0 0 0 Sep 9 2001 dev',
    'crw------- 1 0 0 5,1 Sep 9 2001 dev/console',
    'drwxr-xr-x 2 0 0 0 Sep 9 2001 usr',
    'drwxr-xr-x 2 0 0 0 Sep 9 2001 usr/lib',
    '-rwsr-xr-x 1 1 2 5 Sep 9 2001 usr/lib/file',
    'lrwxrwxrwx 1 0 0 8 Sep 9 2001 usr/link -> lib/file'
  ])
  t.alike(cpioArchive(tree, 1_000_000_000), archive)
})

void test('libraries that a program needs', (t) => {
  const program = readFileSync(process.execPath)
  t.ok(neededLibraries(program).includes('libc.so.6'))
  t.is(elfMachine(program), process.arch === 'x64' ? 62 : 183)
  t.exception(() => neededLibraries(program.subarray(0, 100)))
})

void test('a line of the kernel’s configuration may be for one architecture', (t) => {
  const text =
    '# amd64: of both\nCONFIG_A=y\namd64: CONFIG_B=y\narm64: CONFIG_C=y\narm64: CONFIG_B=n\n'
  t.is(configFor('amd64', text), '# amd64: of both\nCONFIG_A=y\nCONFIG_B=y\n')
  t.is(configFor('arm64', text), '# amd64: of both\nCONFIG_A=y\nCONFIG_C=y\nCONFIG_B=n\n')
})

void test('a kernel without what was asked for is refused', (t) => {
  const config = 'CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C="text"\n'
  checkConfig('CONFIG_A=y\nCONFIG_B=n\nCONFIG_C="text"\nCONFIG_GONE=n\n', config)
  for (const fragment of ['CONFIG_B=y', 'CONFIG_A=n', 'CONFIG_GONE=y', 'CONFIG_C="other"']) {
    t.exception(() => checkConfig(fragment, config), fragment)
  }
})

void test('signatures of manifests', (t) => {
  const { secretKey, publicKey } = generateKeys()
  const secret = parseSecretKey(secretKey)
  const key = parsePublicKey(publicKey)
  const signature = signManifest(secret, '{}\n', 5)
  t.is(
    verifyMinisign(Buffer.from('{}\n'), signature, key),
    'timestamp:5\tfile:manifest.json\thashed'
  )
  t.is(signManifest(secret, '{}\n', 5), signature, 'equal input, equal text')
  t.exception(() => verifyMinisign(Buffer.from('{}'), signature, key))
  const encrypted = Buffer.from(secretKey.split('\n')[1] ?? '', 'base64')
  encrypted.write('Sc', 2)
  const damaged = Buffer.from(secretKey.split('\n')[1] ?? '', 'base64')
  damaged.writeUInt8(damaged.readUInt8(70) ^ 1, 70)
  for (const bytes of [encrypted, damaged, damaged.subarray(1)]) {
    try {
      parseSecretKey(`untrusted comment: x\n${bytes.toString('base64')}\n`)
      t.fail('taken')
    } catch (error) {
      t.ok(isContainerError(error, 'USAGE'), String(error))
    }
  }
})
