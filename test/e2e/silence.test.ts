import { randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'brittle'
import type { Shared } from './results.ts'
import { LONG, Sandbox, type Machine } from './sandbox.ts'
import { tinyRootfs } from './tiny-rootfs.ts'

const MB = 1024 * 1024

test('a read that waits and a pull to which nothing comes say so', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const { publisher, reader, link } = await shared(sandbox)
  // With a peer that answers nothing is said, but that it is looked for where that takes long.
  const listed = await reader.run('ls', link)
  t.is(listed.exitCode, 0)
  t.absent(/waits|no progress/.test(listed.stderr), listed.stderr)
  await publisher.ok('daemon', 'stop')

  const read = await reader.run('cat', link, '/large', '--peer-timeout', '5')
  t.is(read.exitCode, 4)
  t.ok(
    /a read waits for peers with the content, and fails after 5 s/.test(read.stderr),
    read.stderr
  )
  const pull = await reader.run('pull', link, '--peer-timeout', '5')
  t.is(pull.exitCode, 4, 'a pull that nobody is there for ends')
  t.ok(/no progress: \d peers are connected and \d+ % is here/.test(pull.stderr), pull.stderr)
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
    t.ok(/looking for peers with this image, for up to 4 s/.test(ran.stderr), ran.stderr)
    const json = await stranger.run('--json', ...args, '--peer-timeout', '3')
    t.is(json.stderr.split('\n').length, 1, 'JSON is one document')
  }
  const offline = await stranger.run('info', link, '--offline')
  t.absent(offline.stderr.includes('looking for'), 'offline, nobody is looked for')
})

for (const mode of ['erofs', 'fuse']) {
  test(
    `boot in the foreground says what reads wait for, and that they go on (${mode})`,
    LONG,
    async (t) => {
      await using sandbox = await Sandbox.open()
      const publisher = await sandbox.machine('publisher')
      const reader = await sandbox.machine('reader')
      const source = tinyRootfs(join(sandbox.directory, 'source'))
      writeFileSync(join(source, 'large'), randomBytes(4 * MB))
      const { link } = await publisher.json<Shared>('share', source)
      const script = 'cat /etc/passwd; read go; cat /large > /dev/null; echo read; read end'
      const boot = reader.start(
        ['boot', link, '--rm', '--lazy-only', '--mount', mode, '--', 'sh', '-c', script],
        { stdin: 'pipe' }
      )
      const said = { stdout: '', stderr: '' }
      boot.stdout?.on('data', (data: Buffer) => (said.stdout += data.toString()))
      boot.stderr?.on('data', (data: Buffer) => (said.stderr += data.toString()))
      const lines = (): string[] =>
        said.stderr.split('\n').filter((line) => line.startsWith('reads'))
      await until(() => said.stdout.includes('root:'))
      t.alike(lines(), [], 'nothing is said while reads are answered')
      await publisher.ok('daemon', 'stop')
      boot.stdin?.write('go\n')
      await until(() => lines().length > 0)
      t.ok(
        /^reads of the image: waiting for peers since \d{4}-[-:.\dTZ]+$/.test(lines()[0]!),
        lines()[0]
      )
      await publisher.ok('daemon', 'start')
      await until(() => lines().includes('reads of the image: they go on'))
      boot.stdin?.end('end\n')
      t.is((await boot).exitCode, 0)
      t.ok(said.stdout.endsWith('read\n'), 'the command has gone on')
      t.absent(said.stdout.includes('reads of'), 'its output has nothing of that')
      const told = lines().filter((line) => line.includes('waiting'))
      t.is(new Set(told).size, told.length, 'a stall is told once')
    }
  )
}

/** Until a condition holds; the test's limit ends what never does. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await sleep(50)
}

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
