import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'brittle'
import { findProgram } from '../../src/machine/qemu/find-qemu.ts'
import { MachineSandbox, type Shown } from '../machine/machine-fixture.ts'

const PROJECT = fileURLToPath(new URL('../../..', import.meta.url))
const IMAGE = join(PROJECT, 'os-image/dist-arm64')
const reason = !existsSync(join(IMAGE, 'manifest.json'))
  ? 'no HyperOS for arm64 is built (npm run os-image -- --arch arm64)'
  : findProgram('linux', 'qemu-system-aarch64') === undefined
    ? 'there is no qemu-system-aarch64'
    : undefined
const title = 'HyperOS for arm64: starts, lets in by key, its native parts work, an orderly end'

void test(
  reason === undefined ? title : `${title} (${reason})`,
  { timeout: 15 * 60_000, skip: reason !== undefined },
  async (t) => {
    await using sandbox = new MachineSandbox()
    const home = sandbox.home('only', { DAT_CONTAINER_OS_IMAGE: IMAGE })
    const options = ['--arch', 'arm64', '--accel', 'tcg', '--memory', '1G', '--disk', '1G']
    const started = await home.json<Shown & { arch: string; type: string }>(
      ...['machine', 'start', 'arm', ...options, '--timeout', '10m']
    )
    t.alike([started.state, started.arch, started.type], ['running', 'arm64', 'virt'])
    const line = async (command: string): Promise<string> =>
      home.ok('machine', 'ssh', 'arm', '--', command)
    t.is(await line('uname -m'), 'aarch64')
    t.is(await line('hostname'), 'arm')
    t.is(await line('systemctl is-system-running --wait'), 'running')
    t.ok((await line('cat /proc/mounts')).includes('/dev/vda /var/lib/dat-container ext4'))

    const { version } = JSON.parse(readFileSync(join(PROJECT, 'package.json'), 'utf8')) as {
      version: string
    }
    t.is(await line('dat-container --version'), version)
    const names = readFileSync(join(PROJECT, 'os-image/node-packages.list'), 'utf8')
      .split('\n')
      .filter((each) => each !== '' && !each.startsWith('#'))
    const loads = names.map((each) => `await import("${each}")`).join('; ')
    const script = `${loads}; console.log(process.arch); process.exit(0)`
    const node = `cd /usr/lib/dat-container && node --input-type=module -e '${script}'`
    t.is(await line(node), 'arm64', 'all packages with native parts load')
    // Signs, encrypts, stores, compresses, and mounts what it stored.
    await line('dat-container share /usr/share -n shared')
    await line('mkdir -p /mnt/shared && dat-container mount shared /mnt/shared')
    await line('diff -r /usr/share /mnt/shared')
    await line('dat-container umount /mnt/shared')

    t.alike(await home.json('machine', 'stop', 'arm'), [{ name: 'arm', orderly: true }])
  }
)
