import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { kill } from 'node:process'
import test from 'brittle'
import { filesListed } from './files-listed.ts'
import type { Shared } from './results.ts'
import { LONG, Sandbox } from './sandbox.ts'

const FILES = 6_000

void test(
  'a link works before the drive lists its files, and a daemon that was killed lists them later',
  LONG,
  async (t) => {
    await using sandbox = await Sandbox.open()
    const source = join(sandbox.directory, 'source')
    mkdirSync(source)
    for (let n = 0; n < FILES; n++) writeFileSync(join(source, `file ${n}`), `${n}\n`)
    const machine = await sandbox.machine('publisher')
    const pidOf = async () => (await machine.json<{ pid: number }>('daemon', 'status')).pid

    const shared = await machine.json<Shared>('share', source, '--name', 'many')
    kill(await pidOf(), 'SIGKILL')
    await machine.run('daemon', 'start')
    t.is((await machine.json<{ files: number }>('info', shared.link)).files, FILES)
    const listed = await filesListed(machine)
    t.ok(listed.entryBytes > FILES * 100, 'all of them')

    writeFileSync(join(source, 'one more'), 'one more\n')
    const updated = await machine.json<Shared>('share', source, '--update', 'many')
    // While the one before is still being listed.
    writeFileSync(join(source, 'another'), 'another\n')
    const again = await machine.json<Shared>('share', source, '--update', 'many')
    t.alike([updated.version, again.version, again.files], [2, 3, FILES + 2])
    t.ok((await filesListed(machine)).entryBytes > listed.entryBytes)

    t.not((await machine.run('share', join(source, 'not there'), '--update', 'many')).exitCode, 0)
    t.ok((await filesListed(machine)).filesListed, 'an update that fails leaves the list as it is')
    await machine.ok('daemon', 'stop')

    await machine.json<Shared>('share', source, '--name', 'gone')
    await machine.ok('unseed', '--force', 'gone')
    t.is(
      (await machine.json<unknown[]>('images')).length,
      1,
      'what is given up is not listed any more'
    )
  }
)
