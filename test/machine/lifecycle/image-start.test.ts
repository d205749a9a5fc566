import { chmodSync, chownSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'brittle'
import { generateKeys, parseSecretKey, signManifest } from '../../../os-image/sign.ts'
import { LONG, Machine } from '../../e2e/sandbox.ts'
import { imageDirectory, MachineSandbox, whyNoGuest, type Shown } from '../machine-fixture.ts'

const NOBODY = 65_534
const reason = whyNoGuest()
const skip = reason !== undefined
/** A test that is left out tells why. */
const titled = (title: string): string => (skip ? `${title} (${reason})` : title)

const SMALL = ['--accel', 'tcg', '--memory', '256M', '--disk', 'none']

test(titled('an image is checked before each start'), { ...LONG, skip }, async (t) => {
  await using sandbox = new MachineSandbox()
  const image = imageDirectory(join(sandbox.directory, 'image'))
  const home = sandbox.home('only', { DAT_CONTAINER_OS_IMAGE: image })
  await home.ok('machine', 'start', 'web', ...SMALL)
  await home.ok('machine', 'kill', 'web')
  for (const name of ['vmlinuz', 'initrd', 'manifest.json']) {
    const path = join(image, name)
    const good = readFileSync(path)
    for (const at of [0, Math.floor(good.length / 3), good.length - 1]) {
      const bad = Buffer.from(good)
      bad[at] = (bad[at] ?? 0) ^ 4
      writeFileSync(path, bad)
      const ran = await home.run('machine', 'start', 'web')
      t.is(ran.exitCode, 5, `${name}, byte ${at}: ${ran.stderr}`)
    }
    writeFileSync(path, good)
  }
  const { publicKey, secretKey } = generateKeys()
  const manifest = join(image, 'manifest.json')
  const [, key = ''] = publicKey.split('\n')
  t.is((await home.run('machine', 'start', 'web', '--pubkey', key)).exitCode, 5, 'not signed')
  const signature = signManifest(parseSecretKey(secretKey), readFileSync(manifest, 'utf8'), 1)
  writeFileSync(`${manifest}.minisig`, signature)
  const [, other = ''] = generateKeys().publicKey.split('\n')
  t.is((await home.run('machine', 'start', 'web', '--pubkey', other)).exitCode, 5, 'by another')
  await home.ok('machine', 'start', 'web', '--pubkey', key)
  t.is((await home.json<Shown>('machine', 'status', 'web')).state, 'running')
})

const noNobody = skip || process.getuid?.() !== 0
test(
  titled('a user without privileges has machines of their own'),
  { ...LONG, skip: noNobody },
  async (t) => {
    await using sandbox = new MachineSandbox()
    chmodSync(sandbox.directory, 0o755)
    const image = imageDirectory(join(sandbox.directory, 'image'))
    const home = join(sandbox.directory, 'nobody')
    mkdirSync(home)
    chownSync(home, NOBODY, NOBODY)
    const nobody = new Machine(
      join(home, 'home'),
      { DAT_CONTAINER_RUNTIME_DIR: join(home, 'run'), DAT_CONTAINER_OS_IMAGE: image, HOME: home },
      ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups', '--']
    )
    try {
      const { pid } = await nobody.json<Shown>('machine', 'start', ...SMALL, '--disk', '64M')
      const status = readFileSync(`/proc/${pid}/status`, 'utf8')
      t.is(/^Uid:\t(\d+)/m.exec(status)?.[1], String(NOBODY))
      t.is(await nobody.ok('machine', 'ssh', '--', 'hostname'), 'default')
      t.alike(await nobody.json('machine', 'stop'), [{ name: 'default', orderly: true }])
    } finally {
      await nobody.run('machine', 'rm', '-f', 'default')
    }
  }
)
