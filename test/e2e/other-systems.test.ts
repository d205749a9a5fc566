import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'brittle'
import { leftAfter, snapshot } from '../boot/leftovers.ts'
import { guestOptions, MachineSandbox, whyNoGuest } from '../machine/machine-fixture.ts'
import { PREBUILT_ADDONS } from './platform-modules.ts'
import { LONG, MAIN, Machine, Sandbox } from './sandbox.ts'

const PRELOAD = fileURLToPath(new URL('./other-system-main.js', import.meta.url))
const CONTENT = 'shared from another system\n'

/** What makes every process of a home believe that it is on another system. */
function environmentOf(platform: NodeJS.Platform, asked: string): Record<string, string> {
  return {
    NODE_OPTIONS: `--import=${PRELOAD}`,
    DAT_TEST_PLATFORM: platform,
    DAT_TEST_ASKED: asked
  }
}

function plantSource(directory: string): string {
  const source = join(directory, 'source')
  mkdirSync(join(source, 'etc'), { recursive: true })
  writeFileSync(join(source, 'etc/motd'), CONTENT)
  writeFileSync(join(source, 'sparse'), Buffer.alloc(300_000))
  return source
}

function askedIn(path: string): string[] {
  return existsSync(path) ? readFileSync(path, 'utf8').trim().split('\n') : []
}

void test(
  'all but containers and mounts works where the modules for Linux are not',
  LONG,
  async (t) => {
    const before = snapshot()
    await using sandbox = await Sandbox.open()
    const { directory, sandboxEnvironment } = sandbox
    const asked = join(directory, 'asked')
    const environment = {
      ...sandboxEnvironment,
      ...environmentOf('darwin', asked),
      // No machine is to start here, whatever this checkout has built.
      DAT_CONTAINER_OS_IMAGE: join(directory, 'no-image')
    }
    delete (environment as Record<string, string>)['DAT_CONTAINER_VM']
    const [owner, reader, mirror] = ['owner', 'reader', 'mirror'].map((name) => {
      const home = join(directory, name)
      mkdirSync(home, { mode: 0o700 })
      return new Machine(home, environment)
    }) as [Machine, Machine, Machine]
    try {
      const source = plantSource(directory)
      const shared = await owner.json<{ link: string; mirrorLink: string }>('share', source)
      writeFileSync(join(source, 'new'), 'of version 2')
      await owner.ok('share', source, '--update', 'source')
      const { link } = shared
      const listed = await reader.json<{ name: string }[]>('ls', link, '/')
      t.alike(
        listed.map(({ name }) => name),
        ['etc', 'new', 'sparse']
      )
      t.is(await reader.ok('cat', link, '/etc/motd'), CONTENT.trimEnd())
      t.is((await reader.json<{ version: number }>('info', link)).version, 2)
      await reader.ok('pull', link)
      t.ok((await reader.run('diff', link.replace('#', '@1#'), link)).stdout.includes('new'))
      const archive = join(directory, 'image.tar')
      await reader.ok('export', link, 'tar', archive)
      t.ok(readFileSync(archive).includes(CONTENT), 'exported')
      const layout = join(directory, 'image.oci')
      await reader.ok('export', link, 'oci', layout)
      t.ok(existsSync(layout))
      await reader.ok('verify', link)
      const mirrorLink = link.slice(0, link.indexOf('#'))
      await mirror.ok('mirror', mirrorLink)
      t.is((await mirror.json<unknown[]>('images')).length, 1)
      t.is((await owner.run('gc', '--old-versions')).exitCode, 0)
      t.is((await mirror.run('unseed', mirrorLink)).exitCode, 0)
      t.is((await reader.run('daemon', 'status')).exitCode, 0)
      t.alike(await reader.json('machine', 'ls'), [])
      t.is((await reader.run('machine', 'status')).exitCode, 3)
      t.alike(await reader.json('ps'), [])
      t.is((await reader.run('doctor')).exitCode, 0)

      for (const words of [
        ['boot', '--no-vm', link],
        ['ps', '--no-vm'],
        ['exec', '--no-vm', 'x', 'id']
      ]) {
        const { stderr, exitCode } = await reader.run(...words)
        t.is(exitCode, 1)
        t.ok(stderr.includes(`${words[0]} requires Linux (use --vm`), stderr)
      }
      for (const words of [
        ['mount', link, directory],
        ['umount', directory]
      ]) {
        t.ok(
          (await reader.run(...words)).stderr.includes('requires Linux (use boot --vm'),
          words[0]
        )
      }
      const profiled = await owner.run('share', source, '--update', 'source', '--profile')
      t.ok(profiled.stderr.includes('share --profile requires Linux'), profiled.stderr)
      t.ok(
        (await reader.run('boot', link)).stderr.includes('starting machine default'),
        'by itself'
      )
      t.alike(askedIn(asked), [], 'nobody asked for a module of Linux')

      // That an attempt is seen, and that Linux needs what other systems do not.
      const here = new Machine(owner.home, { ...environment, DAT_TEST_PLATFORM: 'linux' })
      const refused = await here.run('share', source, '--name', 'here')
      t.is(refused.exitCode, 1)
      t.ok(refused.stderr.includes('the module koffi does not load'), refused.stderr)
      t.ok(askedIn(asked).includes('koffi'))
    } finally {
      for (const home of [owner, reader, mirror]) await home.run('daemon', 'stop')
      rmSync(asked, { force: true })
    }
    t.alike(await leftAfter(before), [], 'nothing is left')
  }
)

const noGuest = whyNoGuest()
const title = 'machines start where the modules for Linux are not'

void test(
  noGuest ? `${title} (${noGuest})` : title,
  { ...LONG, skip: noGuest !== undefined },
  async (t) => {
    await using sandbox = new MachineSandbox()
    const asked = join(sandbox.directory, 'asked')
    const home = sandbox.home('only', environmentOf('darwin', asked))
    await home.ok('machine', 'start', 'web', ...guestOptions())
    t.is(await home.ok('machine', 'exec', 'web', '--', 'hostname'), 'web')
    t.alike(await home.json('machine', 'stop', 'web'), [{ name: 'web', orderly: true }])
    t.alike(askedIn(asked), [])
  }
)

void test('native modules have builds for macOS and Windows', (t) => {
  for (const name of PREBUILT_ADDONS) {
    const folder = folderOf(name)
    for (const system of ['darwin-arm64', 'darwin-x64', 'win32-x64']) {
      t.ok(existsSync(join(folder, 'prebuilds', system)), `${name}: ${system}`)
    }
  }
})

/** Where a package is, whatever it exports. */
function folderOf(name: string): string {
  const entry = createRequire(MAIN).resolve(name)
  const marker = join('node_modules', name)
  return entry.slice(0, entry.lastIndexOf(marker) + marker.length)
}
