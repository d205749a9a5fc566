import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'brittle'
import { freePort } from '../../src/machine/qemu/free-port.ts'
import type { Failure, Shared } from './results.ts'
import { LONG, Sandbox } from './sandbox.ts'

test('options of a daemon that runs already are not ignored without a word', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const machine = await sandbox.machine('one')
  const [port, other] = [await freePort(), await freePort()]
  const listen = `127.0.0.1:${port}`
  await machine.ok('daemon', 'start', '--listen', listen)
  await machine.ok('daemon', 'start')
  await machine.ok('daemon', 'start', '--listen', listen, '--bootstrap', sandbox.bootstrap)

  for (const [options, named] of [
    [['--listen', `127.0.0.1:${other}`], '--listen'],
    [['--listen', 'none'], '--listen'],
    [['--advertise', '192.0.2.1:5'], '--advertise'],
    [['--bootstrap', `127.0.0.1:${other}`], '--bootstrap'],
    [['--log-level', 'debug'], '--log-level']
  ] as const) {
    const ran = await machine.run('--json', 'daemon', 'start', ...options)
    t.is(ran.exitCode, 1, named)
    const { error } = JSON.parse(ran.stderr) as Failure
    t.is(error.code, 'DAEMON_RUNNING')
    t.ok(error.message.includes(`${named} was ignored`), error.message)
  }
  await machine.ok('daemon', 'stop')
  await machine.ok('daemon', 'start', '--listen', 'none')
  t.is((await machine.json<{ listen: null }>('daemon', 'status')).listen, null, 'stopped, it obeys')
})

test('links of a private DHT say so', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const machine = await sandbox.machine('one')
  const source = join(sandbox.directory, 'source')
  mkdirSync(source)
  writeFileSync(join(source, 'a'), 'a')
  const shared = await machine.run('share', source)
  t.ok(shared.stdout.includes(`boot --bootstrap ${sandbox.bootstrap} 'dat://`), shared.stdout)
  const quiet = await machine.run('share', '-q', source, '--update', 'source')
  t.is(quiet.stdout.split('\n').length, 1)
  t.ok(quiet.stderr.includes(`--bootstrap ${sandbox.bootstrap}`), quiet.stderr)
  const json = await machine.json<Shared & { bootstrap: string[] }>(
    ...['share', source, '--update', 'source']
  )
  t.is(json.bootstrap.join(), sandbox.bootstrap)
  const listed = await machine.run('images', '--links')
  t.ok(listed.stderr.includes(`--bootstrap ${sandbox.bootstrap}`), listed.stderr)
  t.is((await machine.run('images')).stderr, '')

  const elsewhere = await machine.run('images', '--bootstrap', '127.0.0.1:9')
  t.is(elsewhere.exitCode, 0)
  t.ok(elsewhere.stderr.includes('--bootstrap is ignored'), elsewhere.stderr)
  t.is((await machine.run('images', '--bootstrap', sandbox.bootstrap)).stderr, '')
})
