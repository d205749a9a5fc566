import { randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'brittle'
import type { Shared } from './results.ts'
import { LONG, Sandbox, type Machine } from './sandbox.ts'

const MB = 1024 * 1024

test('a read that waits and a pull to which nothing comes say so', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const { publisher, reader, link } = await shared(sandbox)
  // With a peer that answers nothing is said, but that it is looked for where that takes long.
  const listed = await reader.run('ls', link)
  t.is(listed.exitCode, 0)
  t.absent(/waits|nothing comes/.test(listed.stderr), listed.stderr)
  await publisher.ok('daemon', 'stop')

  const read = await reader.run('cat', link, '/large', '--peer-timeout', '5')
  t.is(read.exitCode, 4)
  t.ok(
    /a read waits for peers who have what is read, and fails after 5 s/.test(read.stderr),
    read.stderr
  )
  const pull = await reader.run('pull', link, '--peer-timeout', '5')
  t.is(pull.exitCode, 4, 'a pull that nobody is there for ends')
  t.ok(/nothing comes: \d peers are connected, \d+ % is here/.test(pull.stderr), pull.stderr)
})

test('pull tells what it fetched itself', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const { reader, link } = await shared(sandbox)
  const first = await reader.json<{ fetchedBytes: number }>('pull', link)
  t.ok(first.fetchedBytes > 3 * MB, `${first.fetchedBytes} bytes`)
  const second = await reader.json<{ fetchedBytes: number }>('pull', link)
  t.is(second.fetchedBytes, 0, 'the second time there is nothing to fetch')
  t.ok((await reader.ok('pull', link)).includes(', nothing fetched now'))
})

test('while peers are looked for, a line says so', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const { publisher, link } = await shared(sandbox)
  await publisher.ok('daemon', 'stop')
  const stranger = await sandbox.machine('stranger')
  for (const args of [
    ['info', link],
    ['pull', link],
    ['mirror', link]
  ]) {
    const ran = await stranger.run(...args, '--peer-timeout', '4')
    t.is(ran.exitCode, 4, args[0])
    t.ok(/looking for peers who have this image, for up to 4 s/.test(ran.stderr), ran.stderr)
    const json = await stranger.run('--json', ...args, '--peer-timeout', '3')
    t.is(json.stderr.split('\n').length, 1, 'JSON is one document')
  }
  const offline = await stranger.run('info', link, '--offline')
  t.absent(offline.stderr.includes('looking for'), 'offline, nobody is looked for')
})

async function shared(
  sandbox: Sandbox
): Promise<{ publisher: Machine; reader: Machine; link: string }> {
  const publisher = await sandbox.machine('publisher')
  const source = join(sandbox.directory, 'source')
  mkdirSync(source)
  writeFileSync(join(source, 'large'), randomBytes(3 * MB))
  writeFileSync(join(source, 'small'), 'small')
  const { link } = await publisher.json<Shared>('share', source)
  return { publisher, reader: await sandbox.machine('reader'), link }
}
