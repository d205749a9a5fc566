import { join } from 'node:path'
import test from 'brittle'
import { parseLink } from '../../src/p2p/link.ts'
import { leftAfter, snapshot } from '../boot/leftovers.ts'
import type { Listed, Shared } from './results.ts'
import { LONG, Machine, Sandbox } from './sandbox.ts'
import { tinyRootfs } from './tiny-rootfs.ts'
import { freePort } from '../../src/machine/qemu/free-port.ts'

/** Nobody answers there. */
const NO_DHT = { DAT_CONTAINER_BOOTSTRAP: '127.0.0.1:9' }

test('a link that names a peer boots without a DHT, and mirrors by it', LONG, async (t) => {
  const before = snapshot()
  {
    await using sandbox = await Sandbox.open()
    const environment = { ...sandbox.sandboxEnvironment, ...NO_DHT }
    const machine = async (name: string): Promise<Machine> => {
      const { home } = await sandbox.machine(name)
      return new Machine(home, environment)
    }
    const publisher = await machine('publisher')
    const reader = await machine('reader')
    const mirror = await machine('mirror')
    const port = await freePort()
    const listen = `127.0.0.1:${port}`
    await publisher.ok('daemon', 'start', '--listen', listen)
    const status = await publisher.json<{ listen: string }>('daemon', 'status')
    t.is(status.listen, listen)
    const source = tinyRootfs(join(sandbox.directory, 'source'))
    const { link, mirrorLink } = await publisher.json<Shared>('share', source, '--name', 'tiny')
    t.alike(parseLink(link).peers, [{ host: '127.0.0.1', port }], 'links say where it listens')
    const argv = ['--ephemeral', '--', 'cat', '/etc/os-release']
    t.is((await reader.ok('boot', link, ...argv)).trim(), 'ID=tiny')
    await mirror.ok('mirror', mirrorLink)
    const [listed] = await reader.json<Listed[]>('images')
    t.alike(parseLink(listed?.link ?? '').peers, [{ host: '127.0.0.1', port }], 'and is remembered')

    // Whoever has the image by name finds its peer again, when that is back.
    await reader.ok('daemon', 'stop')
    await publisher.ok('daemon', 'stop')
    const pulling = reader.start(['pull', 'tiny'])
    await publisher.ok('daemon', 'start', '--listen', listen)
    t.is((await pulling).exitCode, 0)
    await reader.ok('verify', 'tiny', '--offline')

    const bad = await reader.run('daemon', 'start', '--listen', 'nowhere')
    t.is(bad.exitCode, 2)
    t.ok(bad.stderr.includes('host:port'), bad.stderr)
    await mirror.ok('daemon', 'stop')
    const taken = await mirror.run('daemon', 'start', '--listen', listen)
    t.is(taken.exitCode, 1)
    t.ok(taken.stderr.includes(listen), taken.stderr)
  }
  t.alike(await leftAfter(before), [], 'nothing is left')
})
