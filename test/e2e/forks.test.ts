import { randomBytes } from 'node:crypto'
import { cpSync, mkdirSync, rmSync, writeFileSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'brittle'
import type { Failure, Listed, Shared } from './results.ts'
import { LONG, Sandbox, type Machine } from './sandbox.ts'
import { until } from '../until.ts'

interface Info {
  readonly version: number
}

/** A publisher with a backup of its first version, whose second a reader has. */
async function restored(sandbox: Sandbox) {
  const publisher = await sandbox.machine('publisher')
  const reader = await sandbox.machine('reader')
  const source = join(sandbox.directory, 'source')
  mkdirSync(source)
  for (let file = 0; file < 5; file++) writeRandom(source, `file-${file}`)
  const { link } = await publisher.json<Shared>('share', source, '--name', 'image')
  await publisher.ok('daemon', 'stop')
  const backup = join(sandbox.directory, 'backup')
  cpSync(publisher.home, backup, { recursive: true })
  writeRandom(source, 'second')
  await publisher.ok('share', source, '--update', 'image', '--message', 'second')
  await reader.ok('pull', link)
  await publisher.ok('daemon', 'stop')
  rmSync(publisher.home, { recursive: true })
  cpSync(backup, publisher.home, { recursive: true })
  writeRandom(source, 'third')
  return { publisher, reader, source, link }
}

test('a restored backup takes lost versions back from peers, and publishes on', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const { publisher, reader, source, link } = await restored(sandbox)
  const { version } = await publisher.json<Shared>('share', source, '--update', 'image')
  t.is(version, 3, 'the version that was lost is there')
  t.is((await reader.json<Info>('info', link)).version, 3, 'and its readers follow')
  await reader.ok('pull', link)
  await reader.ok('verify', link)
  t.is((await listed(publisher)).forked, false)
  t.is((await listed(reader)).forked, false)
})

test('an image with two histories is served on, and its publisher told', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const { publisher, reader, source, link } = await restored(sandbox)
  await reader.ok('daemon', 'stop')
  const { version } = await publisher.json<Shared>('share', source, '--update', 'image')
  t.is(version, 2, 'nobody who could tell was there')
  await reader.ok('daemon', 'start')
  const haveNoticed = async (): Promise<boolean> =>
    (await listed(reader)).forked && (await listed(publisher)).forked
  await until(t, 'both notice', haveNoticed, { pauseMs: 200 })
  const { blocksKnown, blocksHeld } = await listed(reader)
  t.ok(blocksKnown > 0 && blocksHeld > 0, 'the reader keeps what it has')
  await reader.ok('verify', link)
  for (const verb of ['info', 'pull']) {
    const { exitCode, stderr } = await reader.run(verb, link)
    t.is(exitCode, 0, verb)
    t.ok(/two histories.*dat-container unseed/.test(stderr), stderr)
  }
  const booted = await reader.run('boot', link, '--ephemeral', '--', 'true')
  t.ok(/two histories.*dat-container unseed/.test(booted.stderr), `boot: ${booted.stderr}`)
  t.ok(/two histories.*new image/.test((await publisher.run('info', link)).stderr), 'its publisher')
  t.ok((await reader.ok('cat', link, '/second')).length > 0, 'and reads it')

  const refused = await publisher.run('--json', 'share', source, '--update', 'image')
  t.is(refused.exitCode, 1)
  const { error } = JSON.parse(refused.stderr) as Failure
  t.is(error.code, 'FORKED')
  t.ok(error.hint?.includes('new image'), error.hint ?? '')
  t.is((await publisher.json<Info>('info', link)).version, 2, 'the publisher serves its own')

  await publisher.ok('daemon', 'stop')
  await publisher.ok('daemon', 'start')
  const again = await publisher.run('share', source, '--update', 'image')
  t.is(again.exitCode, 1, 'it remembers')

  const third = await sandbox.machine('third')
  await reader.ok('daemon', 'stop')
  await third.ok('pull', link)
  const content = readFileSync(join(source, 'third'))
  t.alike(await third.bytes('cat', link, '/third'), content, 'who comes new gets the publisher’s')
  await reader.ok('unseed', 'image')
  await reader.ok('pull', link)
  t.alike(await reader.bytes('cat', link, '/third'), content, 'and so does who gives up its own')
})

async function listed(machine: Machine): Promise<Listed> {
  const [image] = await machine.json<Listed[]>('images')
  if (image === undefined) throw new Error('no image is listed')
  return image
}

function writeRandom(directory: string, name: string): void {
  writeFileSync(join(directory, name), randomBytes(300_000))
}
