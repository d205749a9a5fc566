import test from 'brittle'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { bootDetached } from '../../src/boot/runner/boot-detached.ts'
import type { ContainerOptions } from '../../src/boot/state/boot-options.ts'
import { inspectContainer, stopContainer } from '../../src/boot/containers/containers.ts'
import { bootFixture } from '../boot/boot-fixture.ts'
import { LoopDevice } from './loop-device.ts'
import { probeRootfs } from './probe-rootfs.ts'

const LONG = { timeout: 300_000 }
/** From PID 1 on; whoever runs a program to ask whether it is ready does so long before. */
const WATCHED_MS = 3000

const WAYS: readonly [string, Partial<ContainerOptions>][] = [
  ['default options', {}],
  ['--private-users no --cap-drop all', { nspawnArgs: ['--private-users=no'], capDrop: ['all'] }]
]

for (const [way, options] of WAYS) {
  void test(`no program of an image is run from outside its container: ${way}`, LONG, async (t) => {
    using disk = new LoopDevice()
    const { base, home } = bootFixture(t, '', probeRootfs(disk.number))
    const container = { ...base, name: 'hostile', ...options }
    const waiting = bootDetached({ container, wait: 'ready', waitTimeoutMs: WATCHED_MS })
    const { rootfs } = await bootedRoot(waiting, home)
    const [control, ...fired] = linesOf(join(rootfs, 'fired'))
    const [init = ''] = linesOf(join(rootfs, 'up'))
    t.ok(init.startsWith('init '), 'it has booted')
    const confinement = init.replace('init ', '')
    t.is(control, `/usr/bin/systemctl control ${confinement}`, 'a probe that the image runs fires')
    t.alike(fired, [], 'none was run by anybody else')
    // With default options the image's own init may reach it as long as device nodes work inside.
    if (options.capDrop !== undefined) t.absent(disk.isTouched(), 'the host’s disk is untouched')
    await stopContainer({ home, name: 'hostile', timeoutMs: 0 })
  })
}

async function bootedRoot(
  waiting: Promise<unknown>,
  home: string
): Promise<{ readonly rootfs: string }> {
  await waiting.catch(() => {})
  const { rootfs } = await inspectContainer(home, 'hostile')
  while (!existsSync(join(rootfs ?? '', 'up'))) await sleep(50)
  return { rootfs: rootfs ?? '' }
}

function linesOf(path: string): string[] {
  return readFileSync(path, 'utf8').trim().split('\n')
}
