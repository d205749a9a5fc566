import test from 'brittle'
import { ContainerError } from '../../../src/core/errors.ts'
import { existsSync, mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { bootDetached } from '../../../src/boot/runner/boot-detached.ts'
import { ImageReference } from '../../../src/p2p/link.ts'
import type { ContainerState } from '../../../src/boot/state/container-record.ts'
import {
  inspectContainer,
  listContainers,
  removeContainer,
  stopContainer
} from '../../../src/boot/containers/containers.ts'
import { bootPaths, containerPaths } from '../../../src/boot/state/paths.ts'
import { pinnedVersions } from '../../../src/boot/containers/pinned-versions.ts'
import { waitForExit } from '../../../src/core/host/process-table.ts'
import { sweep } from '../../../src/boot/containers/sweep.ts'
import { bootFixture, type BootFixture, type TestInstance } from '../boot-fixture.ts'
import { scriptInitRootfs } from '../script-init.ts'

/** Only ends what hangs. */
const LONG = { timeout: 300_000 }

/** A fixture whose image has an init that never says that it is up. */
function silentFixture(t: TestInstance): BootFixture & { wrote: (name: string) => string } {
  const fixture = bootFixture(t, '', scriptInitRootfs())
  const wrote = (name: string): string => {
    const path = join(containerPaths(bootPaths(fixture.home), name).upper, 'wrote')
    return existsSync(path) ? readFileSync(path, 'utf8') : ''
  }
  return { ...fixture, wrote }
}

/** Returns once the init has written its line for the `times`th time. */
async function written(wrote: () => string, times = 1): Promise<void> {
  while (wrote().split('\n').length <= times) await sleep(20)
}

void test(
  'one that never said that it is ready keeps its files when it is stopped or killed',
  LONG,
  async (t) => {
    const { base, home, wrote } = silentFixture(t)
    for (const timeoutMs of [15_000, 0]) {
      const name = timeoutMs === 0 ? 'killed' : 'stopped'
      await bootDetached({ container: { ...base, name } })
      await written(() => wrote(name))
      await stopContainer({ home, name, timeoutMs })
      const [kept] = (await listContainers(home, { all: true })).filter((one) => one.name === name)
      t.is(kept?.state, 'stopped', `${name}: there still`)
      t.is(wrote(name).split('\n').length, 2, `${name}: with what it wrote`)
      await bootDetached({ container: { ...base, name } })
      await written(() => wrote(name), 2)
      await stopContainer({ home, name, timeoutMs: 0 })
      t.is(wrote(name).split('\n').length, 3, `${name}: and goes on from there`)
    }
  }
)

void test(
  'a systemd that is still starting, and one whose starter gives up, keep their files',
  LONG,
  async (t) => {
    const { base, home } = bootFixture(t)
    await bootDetached({ container: { ...base, name: 'early' } })
    await stopContainer({ home, name: 'early', timeoutMs: 0 })
    const abandoned = new AbortController()
    const waiting = bootDetached({
      container: { ...base, name: 'abandoned', stopTimeoutMs: 0 },
      wait: 'ready',
      signal: abandoned.signal,
      onState: ({ state }) => {
        if (state === 'running') abandoned.abort()
      }
    })
    await t.exception(waiting, /it ran, but was not ready/)
    const left = await listContainers(home, { all: true })
    t.alike(
      left.map(({ name, state }) => [name, state]),
      [
        ['abandoned', 'stopped'],
        ['early', 'stopped']
      ]
    )
  }
)

void test('a runner that is killed leaves what its container wrote', LONG, async (t) => {
  const { base, home, wrote } = silentFixture(t)
  const { runner } = await bootDetached({ container: { ...base, name: 'bereft' } })
  await written(() => wrote('bereft'))
  process.kill(runner.pid, 'SIGKILL')
  t.ok(await waitForExit(runner, 5000))
  await sweep({ home })
  t.is((await listContainers(home, { all: true }))[0]?.state, 'stopped')
  t.ok(wrote('bereft'))
})

void test(
  '--rm and --ephemeral delete, and so does a start that came to nothing',
  LONG,
  async (t) => {
    const { base, home, wrote } = silentFixture(t)
    for (const options of [{ remove: true }, { ephemeral: true }]) {
      await bootDetached({ container: { ...base, ...options, name: 'gone' } })
      await stopContainer({ home, name: 'gone', timeoutMs: 0 })
      t.alike(await listContainers(home, { all: true }), [], JSON.stringify(options))
    }
    const failing = { ...base, name: 'failed', nspawnArgs: ['--no-such-option'] }
    const error = await bootDetached({ container: failing }).catch((error: unknown) => error)
    t.ok(error instanceof ContainerError && error.message.includes('ended before it was running'))
    t.is(
      (error as ContainerError).hint,
      undefined,
      'nothing is told of a machine that lacks nothing'
    )
    t.absent(existsSync(join(home, 'containers/failed')), 'a new one leaves nothing')
    await bootDetached({ container: { ...base, name: 'failed' } })
    await written(() => wrote('failed'))
    await stopContainer({ home, name: 'failed', timeoutMs: 0 })
    await t.exception(bootDetached({ container: failing }), /ended before it was running/)
    t.ok(wrote('failed'), 'one that had files has them still')
  }
)

const DAMAGES: readonly [what: string, damage: (config: string) => void][] = [
  ['emptied', (config) => truncateSync(config, 0)],
  ['cut off', (config) => truncateSync(config, 40)],
  ['of zeros', (config) => writeFileSync(config, Buffer.alloc(4096))],
  ['of another kind', (config) => writeFileSync(config, '{"formatVersion":1}')],
  ['of a later release', (config) => writeFileSync(config, later(readFileSync(config, 'utf8')))],
  ['absent', (config) => rmSync(config)]
]

function later(text: string): string {
  return JSON.stringify({ ...JSON.parse(text), formatVersion: 99 })
}

void test('a record that cannot be read is not an absent one', LONG, async (t) => {
  const { base, home, link, wrote } = silentFixture(t)
  const paths = containerPaths(bootPaths(home), 'web')
  const container = { ...base, name: 'web' }
  for (const [what, damage] of DAMAGES) {
    let state: ContainerState | undefined = await bootDetached({ container })
    await written(() => wrote('web'))
    // A crash: nothing that the runner had begun is ended by it.
    process.kill(state.runner.pid, 'SIGKILL')
    t.ok(await waitForExit(state.runner, 5000))
    damage(paths.config)
    t.alike((await sweep({ home })).failed, [])
    t.ok(wrote('web'), `${what}: a sweep leaves the files`)

    const [listed] = await listContainers(home)
    t.is(listed?.state, 'damaged', `${what}: and it is shown`)
    t.ok(/dat-container boot .*-n web.*dat-container rm web/s.test(listed?.problem ?? ''))
    t.is((await inspectContainer(home, 'web')).state, 'damaged')
    await t.exception(pinnedVersions(home), /the image of container web is unknown/)
    const asked =
      what === 'absent'
        ? { ...container, link: ImageReference.parse(link.replace('@1', '')) }
        : container
    await t.exception(bootDetached({ container: asked }), /cannot read the record of container web/)
    const scratch = { ...container, ephemeral: true }
    await t.exception(bootDetached({ container: scratch }), /cannot read the record/)
    t.ok(wrote('web'), `${what}: no start takes it for a new one`)

    rmSync(paths.config, { force: true })
    state = await bootDetached({ container })
    await written(() => wrote('web'), 2)
    await stopContainer({ home, name: 'web', timeoutMs: 0 })
    t.is((await listContainers(home, { all: true }))[0]?.state, 'stopped', `${what}: repaired`)
    damage(paths.config)
    await removeContainer({ home, name: 'web' })
    t.absent(existsSync(paths.directory), `${what}: rm works`)
  }
  mkdirSync(paths.directory)
  t.alike(await listContainers(home, { all: true }), [], 'without files there is nothing to keep')
})
