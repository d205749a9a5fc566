import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'brittle'
import { findProgram } from '../../src/machine/find-qemu.ts'
import { MachineSandbox, type Shown } from './machine-fixture.ts'

const IMAGE = fileURLToPath(new URL('../../../os-image/dist', import.meta.url))
const reason = !existsSync(join(IMAGE, 'manifest.json'))
  ? 'no HyperOS image is built (npm run os-image)'
  : findProgram('linux', 'qemu-system-x86_64') === undefined
    ? 'there is no QEMU'
    : undefined
const skip = reason !== undefined
/** A test that is left out tells why. */
const titled = (title: string): string => (skip ? `${title} (${reason})` : title)
/** In software it takes half a minute; this only ends what hangs. */
const SLOW = { timeout: 900_000 }

test(
  titled('HyperOS: a disk that keeps, a shared directory, an orderly end'),
  { ...SLOW, skip },
  async (t) => {
    await using sandbox = new MachineSandbox()
    const home = sandbox.home('only', { DAT_CONTAINER_OS_IMAGE: IMAGE })
    const shared = join(sandbox.directory, 'shared')
    mkdirSync(shared)
    writeFileSync(join(shared, 'in'), 'from outside\n')
    const options = ['--memory', '512M', '--disk', '1G', '--share', `${shared}:/srv/shared`]
    const started = await home.json<Shown>('machine', 'start', 'hyper', ...options)
    t.is(started.state, 'running')
    const line = async (command: string): Promise<string> =>
      home.ok('machine', 'ssh', 'hyper', '--', command)
    t.is(await line('hostname'), 'hyper')
    t.is(await line('cat /srv/shared/in; echo from inside > /srv/shared/out'), 'from outside')
    t.is(readFileSync(join(shared, 'out'), 'utf8'), 'from inside\n')
    t.ok((await line('cat /proc/mounts')).includes('/dev/vda /var/lib/dat-container ext4'))
    await line('echo kept > /var/lib/dat-container/probe')
    t.alike(await home.json('machine', 'stop', 'hyper'), [{ name: 'hyper', orderly: true }])
    await home.ok('machine', 'start', 'hyper')
    t.is(await line('cat /var/lib/dat-container/probe'), 'kept')
  }
)
