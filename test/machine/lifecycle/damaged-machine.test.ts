import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'brittle'
import { isContainerError } from '../../../src/core/errors.ts'
import { mergeOptions } from '../../../src/machine/lifecycle/machine-options.ts'
import { removeMachine } from '../../../src/machine/lifecycle/stop-machine.ts'
import { listMachines } from '../../../src/machine/qemu/machine-summary.ts'
import { machineHome, machinePaths } from '../../../src/machine/state/machine-paths.ts'
import { requireConfig } from '../../../src/machine/state/machine-record.ts'

void test('a machine whose record cannot be read is shown, kept and can be removed', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'dat-damaged-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  process.env['DAT_CONTAINER_RUNTIME_DIR'] = join(directory, 'run')
  const userHome = join(directory, 'home')
  const home = machineHome(userHome)
  const whole = mergeOptions('web', {}, undefined)
  const records: [name: string, text: string, said: RegExp][] = [
    ['sound', JSON.stringify({ ...whole, name: 'sound' }), /^$/],
    ['emptied', '', /cannot read .*: it is empty/],
    ['cut', JSON.stringify(whole).slice(0, 40), /cannot read .*: it is not JSON/],
    ['other', '{"formatVersion":1,"name":"other"}', /cannot read .*: it has no usable createdAt/],
    ['later', JSON.stringify({ ...whole, formatVersion: 2 }), /a later release/]
  ]
  for (const [name, text] of records) {
    const paths = machinePaths(home, name)
    mkdirSync(paths.directory)
    writeFileSync(paths.config, text)
    writeFileSync(paths.disk, 'its data')
  }

  const listed = await listMachines(home)
  const problems = new Map(listed.map(({ name, state, problem }) => [name, [state, problem]]))
  for (const [name, , said] of records) {
    const [state, problem] = problems.get(name) ?? []
    t.is(state, name === 'sound' ? 'stopped' : 'damaged', `${name}: state`)
    t.ok(said.test(problem ?? ''), `${name}: ${problem}`)
    const paths = machinePaths(home, name)
    if (name === 'sound') t.is((await requireConfig(paths)).cpus, whole.cpus)
    else await refused(t, requireConfig(paths), name === 'later' ? 'UNSUPPORTED_VERSION' : 'IO')
    t.ok(existsSync(paths.disk), `${name}: its disk is kept`)
    await removeMachine({ home: userHome, name })
    t.absent(existsSync(paths.directory), `${name}: it can be removed`)
  }
  await refused(t, requireConfig(machinePaths(home, 'never')), 'NOT_FOUND')
})

async function refused(
  t: { ok: (value: unknown, message: string) => void; fail: (message: string) => void },
  asked: Promise<unknown>,
  code: 'IO' | 'NOT_FOUND' | 'UNSUPPORTED_VERSION'
): Promise<void> {
  try {
    await asked
    t.fail(`taken, not ${code}`)
  } catch (error) {
    t.ok(isContainerError(error, code), String(error))
  }
}
