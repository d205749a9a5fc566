import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'brittle'
import type { Failure, Shared } from './results.ts'
import { LONG, Sandbox, type Machine } from './sandbox.ts'

/** Bits that are flipped in a reader's store. */
const FLIPS = process.env['DAT_CONTAINER_TEST_SLOW'] === '1' ? 1000 : 60
const SLOW = { timeout: 900_000 }

interface Verified {
  readonly damaged: number
  readonly repairedBlocks: number
}

interface Repaired {
  readonly damaged: boolean
  readonly openError: string | null
  readonly setAside: string | null
  readonly images: readonly {
    readonly role: string
    readonly held: number
    readonly whole: number
  }[]
}

/** A record of a RocksDB log begins with a checksum, a length and a type: seven bytes. */
const FIRST_CONTENT = 8

test(
  'a reader with flipped bits and one good peer reads all, and has it whole again',
  SLOW,
  async (t) => {
    await using sandbox = await Sandbox.open()
    const { publisher, reader, source, link } = await pulled(sandbox)
    const directory = join(sandbox.directory, 'mnt')
    await reader.ok('mount', link, directory, '--lazy-only')
    await reader.ok('daemon', 'stop')
    flipBits(reader, FLIPS, /\.(?:blob|sst)$/)
    const started = await reader.run('--json', 'daemon', 'start')
    if (started.exitCode !== 0) {
      t.is((JSON.parse(started.stderr) as Failure).error.code, 'STORE_DAMAGED', started.stderr)
      t.comment((await reader.ok('repair')).trim())
      await reader.ok('daemon', 'start')
    }
    const { wrong, failed } = await compared(source, directory)
    t.alike(failed, [], 'no read fails')
    t.alike(wrong, [], 'no byte is wrong')
    await reader.ok('umount', directory).catch(() => {})
    const { damaged } = await reader.json<Verified>('verify', link)
    t.is(damaged, 0, 'nothing is damaged any more')
    await publisher.ok('daemon', 'stop')
    await reader.ok('pull', link, '--offline')
    t.is((await reader.json<Verified>('verify', link, '--offline')).damaged, 0, 'all is here')
  }
)

test('verify fetches damaged blocks again, and says what it cannot', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const { publisher, reader, link } = await pulled(sandbox)
  await reader.ok('daemon', 'stop')
  flipBits(reader, 5, /\.blob$/)
  const whole = await reader.json<Verified>('verify', link)
  t.is(whole.damaged, 0)
  t.ok(whole.repairedBlocks > 0, `${whole.repairedBlocks} blocks were fetched again`)
  const log = readFileSync(join(reader.home, 'daemon.log'), 'utf8')
  t.ok(log.includes('is damaged'), 'the log tells')

  await reader.ok('daemon', 'stop')
  await publisher.ok('daemon', 'stop')
  flipBits(reader, 5, /\.blob$/)
  const alone = await reader.run('--json', 'verify', link, '--offline')
  t.is(alone.exitCode, 5, 'without a peer it fails')
  t.ok((JSON.parse(alone.stdout) as Verified).damaged > 0)
  t.ok(alone.stderr.length < 2000, `and says so shortly: ${alone.stderr}`)
})

test('a store that does not open is set aside and made anew', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const { publisher, reader, source, link } = await pulled(sandbox)
  for (const machine of [reader, publisher]) {
    await machine.ok('daemon', 'stop')
    damageManifest(machine)
    for (const verb of [['images'], ['info', link], ['daemon', 'start']]) {
      const { exitCode, stderr } = await machine.run('--json', ...verb)
      t.is(exitCode, 1, verb.join(' '))
      const { error } = JSON.parse(stderr) as Failure
      t.is(error.code, 'STORE_DAMAGED')
      t.ok(error.hint?.includes('dat-container repair'), error.hint ?? '')
    }
  }
  const look = await reader.json<Repaired>('repair', '--dry-run')
  t.ok(look.damaged && look.openError !== null && look.setAside === null, 'a dry run looks')
  const { setAside } = await reader.json<Repaired>('repair')
  t.ok(setAside !== null && existsSync(setAside), 'the damaged store is kept')
  const twice = await reader.json<Repaired>('repair')
  t.alike([twice.damaged, twice.setAside], [false, null], 'an empty store is not a damaged one')

  // The owner has the rest from the reader, which has nothing: first it must be whole again.
  const again = await reader.run('pull', link, '--peer-timeout', '2')
  t.is(again.exitCode, 4, 'nobody has it')
  t.is((await publisher.json<Repaired>('repair')).damaged, true)
  const { version } = await published(publisher, source)
  t.is(version, 0, 'and its owner has lost it')
})

test('what can be read of a damaged store is kept, and an owner publishes on', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const { publisher, reader, source, link } = await pulled(sandbox)
  await publisher.ok('channel', 'create', 'stable', 'image')
  await publisher.ok('daemon', 'stop')
  flipBits(publisher, 6, /\.blob$/)
  const repaired = await publisher.json<Repaired>('repair')
  const [image] = repaired.images
  t.ok(image && image.whole > 0 && image.whole < image.held, JSON.stringify(image))
  const same = await publisher.json<Repaired>('repair')
  t.is(same.damaged, false, 'once more, there is nothing to do')
  // Nobody else has the channel.
  const set = await publisher.json<{ record: number }>('channel', 'set', 'stable', 'image@1')
  t.is(set.record, 2, 'a channel goes on, too')
  const more = randomBytes(200_000)
  writeFileSync(join(source, 'more'), more)
  t.is((await published(publisher, source)).version, 2, 'it goes on where it was')
  t.is((await publisher.json<Verified>('verify', link)).damaged, 0, 'with what its reader has')
  await reader.ok('pull', link)
  t.alike(await reader.bytes('cat', link, '/more'), more, 'and the reader follows')
})

async function pulled(sandbox: Sandbox) {
  const publisher = await sandbox.machine('publisher')
  const reader = await sandbox.machine('reader')
  const source = join(sandbox.directory, 'source')
  mkdirSync(source)
  for (let file = 0; file < 120; file++) {
    writeFileSync(join(source, `file-${file}`), randomBytes(10_000 + 4_000 * file))
  }
  const { link } = await publisher.json<Shared>('share', source, '--name', 'image')
  await reader.ok('pull', link)
  return { publisher, reader, source, link }
}

async function published(machine: Machine, source: string): Promise<{ version: number }> {
  const ran = await machine.run('--json', 'share', source, '--update', 'image')
  return ran.exitCode === 0 ? (JSON.parse(ran.stdout) as Shared) : { version: 0 }
}

/** Flips bits all over the files of a store, of which larger ones get more. */
function flipBits(machine: Machine, count: number, name: RegExp): void {
  const directory = join(machine.home, 'store', 'db')
  const files = readdirSync(directory)
    .filter((file) => name.test(file))
    .map((file) => ({ path: join(directory, file), bytes: statSync(join(directory, file)).size }))
  const total = files.reduce((sum, { bytes }) => sum + bytes, 0)
  const contents = files.map(({ path }) => readFileSync(path))
  for (let flip = 0; flip < count; flip++) {
    let place = Math.floor(Math.random() * total)
    const number = files.findIndex(({ bytes }) => (place -= bytes) < 0)
    const [content, bytes] = [contents[number], files[number]?.bytes ?? 0]
    if (content) content[place + bytes] = (content[place + bytes] ?? 0) ^ (1 << (flip % 8))
  }
  for (const [number, { path }] of files.entries()) writeFileSync(path, contents[number] ?? '')
}

/**
 * Flips a bit in the first record of the file with which a store begins. In the last one, RocksDB takes some for the
 * end of an interrupted write, and opens the store without that record.
 */
function damageManifest(machine: Machine): void {
  const directory = join(machine.home, 'store', 'db')
  for (const file of readdirSync(directory).filter((name) => name.startsWith('MANIFEST'))) {
    const content = readFileSync(join(directory, file))
    content[FIRST_CONTENT] = (content[FIRST_CONTENT] ?? 0) ^ 1
    writeFileSync(join(directory, file), content)
  }
}

async function compared(source: string, mounted: string) {
  const wrong: string[] = []
  const failed: string[] = []
  for (const name of readdirSync(source)) {
    try {
      const read = await readFile(join(mounted, name))
      if (!read.equals(readFileSync(join(source, name)))) wrong.push(name)
    } catch (error) {
      failed.push(`${name}: ${String(error)}`)
    }
  }
  return { wrong, failed }
}
