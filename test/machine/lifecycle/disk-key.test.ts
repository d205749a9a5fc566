import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'brittle'
import { isContainerError, type ErrorCode } from '../../../src/core/errors.ts'
import { diskKey } from '../../../src/machine/lifecycle/disk-key.ts'
import { mergeOptions } from '../../../src/machine/lifecycle/machine-options.ts'
import { machineHome, machinePaths } from '../../../src/machine/state/machine-paths.ts'

void test('keys of encrypted data disks', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'dat-key-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  process.env['DAT_CONTAINER_RUNTIME_DIR'] = join(directory, 'run')
  const home = machineHome(join(directory, 'home'))
  const notices: string[] = []
  const machine = (name: string) => {
    const paths = machinePaths(home, name)
    mkdirSync(paths.directory)
    return paths
  }
  const ask = async (
    paths: ReturnType<typeof machine>,
    keyFile: string | undefined,
    more: { diskBytes?: number; before?: ReturnType<typeof mergeOptions> } = {}
  ): Promise<string | undefined> => {
    const { diskBytes, before } = more
    const config = mergeOptions(paths.name, { keyFile, diskBytes }, before)
    return diskKey(paths, config, before, (line) => notices.push(line))
  }
  const refused = async (code: ErrorCode, asked: Promise<unknown>): Promise<void> => {
    try {
      await asked
      t.fail(`taken, not ${code}`)
    } catch (error) {
      t.ok(isContainerError(error, code), String(error))
    }
  }

  const web = machine('web')
  t.is(await ask(web, undefined), undefined, 'a disk without a key is not encrypted')
  t.is(await ask(web, web.key), web.key)
  const key = readFileSync(web.key)
  t.is(key.length, 32)
  t.is(statSync(web.key).mode & 0o777, 0o600)
  writeFileSync(web.disk, 'a disk')
  const before = mergeOptions('web', { keyFile: web.key }, undefined)
  t.is(await ask(web, undefined, { before }), web.key, 'the next start has it too')
  t.alike(readFileSync(web.key), key, 'and it is the same')
  const moved = { ...before, keyFile: join(directory, 'where-it-was', 'data.key') }
  t.is(await ask(web, undefined, { before: moved }), web.key, 'and in a home that was moved')
  await refused('USAGE', ask(web, web.key, { diskBytes: 0 }))
  await rm(web.key)
  await refused('NOT_FOUND', ask(web, undefined, { before }))

  const plain = machine('plain')
  writeFileSync(plain.disk, 'not encrypted')
  const plainBefore = mergeOptions('plain', {}, undefined)
  await refused('USAGE', ask(plain, plain.key, { before: plainBefore }))

  const own = join(directory, 'own.key')
  await refused('NOT_FOUND', ask(machine('one'), own))
  for (const content of ['', 'x'.repeat(65 * 1024)]) {
    writeFileSync(own, content)
    await refused('USAGE', ask(machine(`bad-${content.length}`), own))
  }
  writeFileSync(own, 'a key of mine')
  chmodSync(own, 0o600)
  t.is(await ask(machine('two'), own), own)
  t.alike(notices, [])
  chmodSync(own, 0o644)
  t.is(await ask(machine('three'), own), own)
  t.ok(notices[0]?.includes(own), 'a key that others can read is told of')
})
