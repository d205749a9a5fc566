import test from 'brittle'
import { existsSync } from 'node:fs'
import { bootDetached } from '../../../src/boot/runner/boot-detached.ts'
import {
  inspectContainer,
  listContainers,
  stopContainer
} from '../../../src/boot/containers/containers.ts'
import { execInContainer } from '../../../src/boot/containers/exec.ts'
import { bootFixture } from '../boot-fixture.ts'

void test('boots Debian to running, runs commands in it, stops it in order', async (t) => {
  const { base, home } = bootFixture(t)
  const state = await bootDetached({ container: { ...base, name: 'web' }, wait: 'ready' })
  t.is(state.state, 'running')
  t.is(state.ready, 'running')
  t.ok(existsSync(`${state.rootfs}/etc/debian_version`))
  const exec = (...argv: string[]): Promise<number> =>
    execInContainer({ home, name: 'web', argv, stdio: 'ignore' })
  t.is(await exec('true'), 0)
  t.is(await exec('sh', '-c', 'exit 7'), 7)
  t.is(await exec('sh', '-c', 'kill -9 $$'), 137)
  await t.exception(exec('no-such-command'), /not in the container/)
  await t.exception(exec('/etc/passwd'), /not executable/)
  t.is((await listContainers(home)).length, 1)
  t.is((await inspectContainer(home, 'web')).leader, state.leader?.pid)
  t.alike(await stopContainer({ home, name: 'web' }), { orderly: true, wasRunning: true })
  t.is((await listContainers(home)).length, 0)
  t.is((await listContainers(home, { all: true })).length, 1)
  t.absent(existsSync(state.rootfs))
})
