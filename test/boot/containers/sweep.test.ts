import { existsSync, rmSync, writeFileSync } from 'node:fs'
import test from 'brittle'
import { containerState, type ContainerState } from '../../../src/boot/state/container-record.ts'
import { mounterState } from '../../../src/boot/lease/mounter-protocol.ts'
import { bootDetached } from '../../../src/boot/runner/boot-detached.ts'
import {
  listContainers,
  removeContainer,
  stopContainer
} from '../../../src/boot/containers/containers.ts'
import { execInContainer } from '../../../src/boot/containers/exec.ts'
import { readJsonFile } from '../../../src/core/json-file.ts'
import { makeDirectories } from '../../../src/boot/runner/container-claim.ts'
import { bootPaths, containerPaths } from '../../../src/boot/state/paths.ts'
import { isAlive, waitForExit, type ProcessIdentity } from '../../../src/core/host/process-table.ts'
import { sweep } from '../../../src/boot/containers/sweep.ts'
import { bootFixture } from '../boot-fixture.ts'
import { leftAfter, snapshot } from '../leftovers.ts'

void test('a sweep clears up after runners killed at every stage', async (t) => {
  const { base, home } = bootFixture(t)
  const paths = bootPaths(home)
  const before = snapshot()
  for (const stage of ['starting', 'running', 'ready']) {
    const container = { ...base, name: 'killed', ephemeral: true }
    let runner: ProcessIdentity | undefined
    const kill = (state: ContainerState): void => {
      runner = state.runner
      process.kill(runner.pid, 'SIGKILL')
    }
    const booting = bootDetached({
      container,
      wait: 'ready',
      onState: (state) => {
        if (state.state === stage) kill(state)
      }
    })
    if (stage === 'ready') kill(await booting)
    else {
      const why = await booting.then(String, (error: Error) => error.message)
      t.ok(why.includes('has died'), `killed while ${stage}: ${why}`)
    }
    if (runner === undefined) throw new Error(`it never was ${stage}`)
    t.ok(await waitForExit(runner, 5000))
    // What its killed runner left is there to be swept.
    t.ok((await leftAfter(before, paths.homeId, 0)).length > 0, `${stage}: something is left`)
    await sweep({ home })
    t.alike(await leftAfter(before, paths.homeId), [], `killed while ${stage}`)
    t.alike(await listContainers(home, { all: true }), [])
    t.alike(await sweep({ home }), { containers: [], mounters: [], failed: [] }, 'nothing twice')
  }
})

void test('what a sweep cannot find is never made: the directory of running containers comes first', async (t) => {
  const { home } = bootFixture(t)
  const files = containerPaths(bootPaths(home), 'half')
  writeFileSync(files.runtime, 'in its way')
  await t.exception(makeDirectories(files), 'cut short')
  t.absent(existsSync(files.directory), 'nothing is there that only the other would tell of')
  rmSync(files.runtime)
  await makeDirectories(files)
  t.ok(existsSync(files.directory))
  await sweep({ home })
  t.absent(existsSync(files.directory), 'one that has no record yet is swept')
  t.absent(existsSync(files.runtime))
})

void test('a container whose nspawn is killed is cleaned up by its runner', async (t) => {
  const { base, home } = bootFixture(t)
  const state = await bootDetached({ container: { ...base, name: 'shot' } })
  process.kill(state.nspawn?.pid ?? 0, 'SIGKILL')
  t.ok(await waitForExit(state.runner, 15_000))
  t.absent(isAlive(state.leader), 'its PID 1 is gone too')
  t.alike(await listContainers(home), [])
})

void test('killed mounters are swept; a new boot mounts anew', async (t) => {
  const { base, home } = bootFixture(t)
  const container = { ...base, name: 'bereft' }
  const state = await bootDetached({ container })
  const mounter = await readJsonFile(
    state.mounterSocket.replace(/socket$/, 'state.json'),
    mounterState
  )
  process.kill(mounter?.pid ?? 0, 'SIGKILL')
  await stopContainer({ home, name: 'bereft' })
  const again = await bootDetached({ container, wait: 'ready' })
  t.is(again.ready, 'running')
  await stopContainer({ home, name: 'bereft' })
})

void test('two containers of one image share its mount and nothing else', async (t) => {
  const { base, home } = bootFixture(t)
  const boot = (name: string): Promise<ContainerState> =>
    bootDetached({ container: { ...base, name }, wait: 'ready' })
  const [left, right] = await Promise.all([boot('left'), boot('right')])
  t.is(left.mounterSocket, right.mounterSocket)
  const exec = (name: string, script: string): Promise<number> =>
    execInContainer({ home, name, argv: ['sh', '-c', script], stdio: 'ignore' })
  t.is(await exec('left', 'echo mine > /root/file'), 0)
  t.is(await exec('right', 'test -e /root/file'), 1)
  await stopContainer({ home, name: 'left' })
  t.is(await exec('right', 'systemctl is-system-running'), 0, 'the other goes on')
  await t.exception(boot('right'), /already running/)
  await removeContainer({ home, name: 'right', force: true })
  t.is((await listContainers(home, { all: true })).length, 1)
})

void test('a sweep of one home leaves the containers of another alone', async (t) => {
  const mine = bootFixture(t)
  const theirs = bootFixture(t)
  const state = await bootDetached({ container: { ...theirs.base, name: 'same' } })
  await sweep({ home: mine.home })
  t.ok(isAlive(state.runner) && isAlive(state.leader))
  const files = containerPaths(bootPaths(mine.home), 'same')
  t.is(await readJsonFile(files.state, containerState), undefined)
  await stopContainer({ home: theirs.home, name: 'same' })
})
