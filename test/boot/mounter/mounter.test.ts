import test from 'brittle'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  listImageMounts,
  mountImageAt,
  unmountImageAt
} from '../../../src/boot/containers/image-mounts.ts'
import { acquireMount, type AcquireMountOptions } from '../../../src/boot/lease/mount-lease.ts'
import { bootPaths } from '../../../src/boot/state/paths.ts'
import { isContainerError } from '../../../src/core/errors.ts'
import { until } from '../../until.ts'
import { bootFixture, type BootFixture } from '../boot-fixture.ts'

function options({ base }: BootFixture): AcquireMountOptions {
  return {
    home: base.home,
    link: base.link,
    ...(base.mounterScript && { mounterScript: base.mounterScript })
  }
}

/** The directories of all images of a home. */
function mounted(home: string): string[] {
  return readdirSync(bootPaths(home).mounts)
}

void test('racing starters share one mounter, which goes with the last lease', async (t) => {
  const fixture = bootFixture(t)
  const leases = await Promise.all([1, 2, 3, 4].map(() => acquireMount(options(fixture))))
  t.is(new Set(leases.map(({ facts }) => facts.pid)).size, 1)
  const [first] = leases
  t.ok(existsSync(`${first?.rootfs}/etc/debian_version`))
  t.is((await first?.stats())?.fetchedBytes, 3)
  const command = readFileSync(`/proc/${first?.facts.pid}/cmdline`, 'utf8')
  t.absent(command.includes(fixture.link.split('#')[1] ?? ''), 'the secret is in no argument')
  const last = leases.pop()
  for (const lease of leases) await lease[Symbol.asyncDispose]()
  // Longer than a mounter without a lease stays.
  await sleep(2_500)
  t.is(mounted(fixture.home).length, 1, 'one lease keeps the mount')
  t.ok(existsSync(`${last?.rootfs}/etc/debian_version`))
  await last?.[Symbol.asyncDispose]()
  await until(t, 'the mounter goes with the last', () => mounted(fixture.home).length === 0)
})

void test('errors of the mounter arrive intact', async (t) => {
  const fixture = bootFixture(t)
  for (const [stage, code] of [
    ['open', 'PEERS_UNREACHABLE'],
    ['mount', 'MOUNT_FAILED'],
    // After the mount, where kept metadata makes that possible.
    ['index', 'BAD_INDEX']
  ] as const) {
    process.env['DAT_CONTAINER_TEST_FAIL'] = stage
    try {
      await acquireMount(options(fixture))
      t.fail('should have thrown')
    } catch (error) {
      t.ok(isContainerError(error, code) && error.hint !== undefined, String(error))
    } finally {
      delete process.env['DAT_CONTAINER_TEST_FAIL']
    }
    await until(t, `${stage}: nothing stays`, () => mounted(fixture.home).length === 0)
  }
  const lease = await acquireMount(options(fixture))
  t.ok(existsSync(lease.rootfs), 'it works once the reason is gone')
  await lease[Symbol.asyncDispose]()
})

void test('an image shown at a directory stays until it is unmounted, either way', async (t) => {
  const fixture = bootFixture(t)
  const directory = `${fixture.home}/../shown`
  const shown = await mountImageAt({ ...options(fixture), directory })
  t.alike(await listImageMounts(fixture.home), [shown])
  await sleep(2500)
  t.ok(existsSync(`${shown.directory}/etc/debian_version`), 'longer than the grace')
  await t.exception(mountImageAt({ ...options(fixture), directory }), /not empty/)
  await unmountImageAt(fixture.home, directory)
  t.alike(readdirSync(shown.directory), [])
  await t.exception(unmountImageAt(fixture.home, directory), /no image is mounted/)

  await mountImageAt({ ...options(fixture), directory })
  t.is(mounted(fixture.home).length, 1)
  execFileSync('umount', [shown.directory])
  await until(t, 'unmounted by hand', () => mounted(fixture.home).length === 0)
  t.alike(await listImageMounts(fixture.home), [])
})

void test('cancelled while opening, nothing is left', async (t) => {
  process.env['DAT_CONTAINER_TEST_OPEN_MS'] = '5000'
  const fixture = bootFixture(t)
  try {
    const ending = new AbortController()
    setTimeout(() => ending.abort(), 300)
    await t.exception(acquireMount({ ...options(fixture), signal: ending.signal }), /cancelled/)
    t.alike(readdirSync(bootPaths(fixture.home).mounts), [])
  } finally {
    delete process.env['DAT_CONTAINER_TEST_OPEN_MS']
  }
})

void test('homes with awkward names work', async (t) => {
  const fixture = bootFixture(t, ' with, a:b\\c')
  mkdirSync(fixture.home, { recursive: true })
  const lease = await acquireMount(options(fixture))
  t.ok(existsSync(lease.rootfs))
  await lease[Symbol.asyncDispose]()
})
