import { cpSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import test from 'brittle'
import { PROTOCOL } from '../../src/rpc/protocol.ts'
import { LONG, MAIN, Machine, Sandbox } from './sandbox.ts'

test('a daemon of another release is named, and can be stopped', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const machine = await sandbox.machine('only')
  const other = new Machine(
    machine.home,
    sandbox.sandboxEnvironment,
    [],
    [process.execPath, otherRelease(sandbox.directory)]
  )
  await other.ok('daemon', 'start')
  t.alike(await other.json('images'), [], 'control: it understands its own release')
  const asked = await machine.run('images')
  t.is(asked.exitCode, 1)
  t.ok(asked.stderr.includes('belongs to another release'), asked.stderr)
  t.ok(asked.stderr.includes('dat-container daemon stop'), asked.stderr)
  t.is(await machine.ok('daemon', 'stop'), 'the daemon has stopped')
  t.is((await machine.run('daemon', 'status')).exitCode, 3)
  t.alike(await machine.json('images'), [], 'the next one is of this release')
})

/** Copies the program, and makes it speak another protocol. @returns its script */
function otherRelease(directory: string): string {
  const root = join(directory, 'other')
  const dist = join(root, 'dist')
  cpSync(dirname(MAIN), dist, { recursive: true })
  symlinkSync(join(dirname(MAIN), '..', 'node_modules'), join(root, 'node_modules'))
  writeFileSync(join(root, 'package.json'), readFileSync(join(dirname(MAIN), '..', 'package.json')))
  for (const name of readdirSync(dist)) {
    if (!/\.c?js$/.test(name)) continue
    const text = readFileSync(join(dist, name), 'utf8')
    writeFileSync(join(dist, name), text.replaceAll(PROTOCOL, 'dat-container/daemon/0'))
  }
  return join(dist, 'main.js')
}
