import { randomBytes } from 'node:crypto'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'brittle'
import { until } from '../until.ts'
import type { Failure, Listed, Shared } from './results.ts'
import { LONG, Sandbox, type Machine } from './sandbox.ts'

const CONTENT_BYTES = 6 * 1024 * 1024

test(
  'a seeded image is fetched whole and follows new versions, also after a restart',
  LONG,
  async (t) => {
    await using sandbox = await Sandbox.open()
    const publisher = await sandbox.machine('publisher')
    const seeder = await sandbox.machine('seeder')
    const reader = await sandbox.machine('reader')
    const { source, link } = await published(sandbox, publisher)
    const seeded = await seeder.json<Listed>('seed', link, '--wait')
    t.is(seeded.kept, 'follows')
    t.ok(seeded.complete, 'all of it is here when --wait returns')
    t.ok(seeded.downloadedBytes > CONTENT_BYTES, `${seeded.downloadedBytes} bytes came`)
    const verbose = await seeder.ok('images', '--verbose')
    t.ok(
      /image: all that is to be kept is here; peers: 1 connected\n  \w{52}  complete/.test(verbose),
      verbose
    )

    await update(publisher, source)
    await until(
      t,
      'it follows to version 2',
      async () => (await listed(seeder)).version === 2 && (await listed(seeder)).complete
    )
    await seeder.ok('daemon', 'stop')
    await update(publisher, source)
    await seeder.ok('daemon', 'start')
    await until(
      t,
      'it follows to version 3 after a restart',
      async () => (await listed(seeder)).version === 3 && (await listed(seeder)).complete
    )
    const { uploadedBytes, copies } = await listed(publisher)
    t.ok(uploadedBytes > 3 * CONTENT_BYTES, `the publisher sent ${uploadedBytes} bytes`)
    t.is(copies.length, 1, 'and knows of one peer')

    await publisher.ok('daemon', 'stop')
    await reader.ok('pull', link)
    t.is(
      (await reader.ok('cat', 'image', '/version')).trim(),
      '3',
      'the newest came from the seeder'
    )
    const { downloadedBytes } = await listed(seeder)
    await seeder.ok('daemon', 'stop')
    await seeder.ok('daemon', 'start')
    const after = await listed(seeder)
    t.ok(after.downloadedBytes >= downloadedBytes, 'counts outlive a restart')
    t.ok(after.lastSeen !== null, 'and so does when a peer was seen')
  }
)

test('seed IMAGE@N keeps that version and fetches no later one', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const publisher = await sandbox.machine('publisher')
  const seeder = await sandbox.machine('seeder')
  const { source, link } = await published(sandbox, publisher)
  await update(publisher, source)
  const held = await seeder.json<Listed>('seed', link.replace('#', '@1#'), '--wait')
  t.is(held.kept, 1)
  t.ok(held.complete)
  t.ok(held.blocksHeld < held.blocksKnown, 'the other version did not come')
  await update(publisher, source)
  await until(
    t,
    'it hears of a third version',
    async () => (await listed(seeder)).blocksKnown > held.blocksKnown
  )
  const later = await listed(seeder)
  t.ok(later.complete, 'nothing of it is missing')
  t.ok(
    later.blocksHeld < held.blocksHeld + 20,
    'and of the third one its manifest came, with a few blocks beside it'
  )
  await publisher.ok('daemon', 'stop')
  t.is((await seeder.ok('cat', 'image@1', '/version')).trim(), '1')
})

test('pins are kept, and what is not there is not found', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const publisher = await sandbox.machine('publisher')
  await published(sandbox, publisher)
  t.is((await publisher.json<Listed>('pin', 'image')).pinned, true)
  await publisher.ok('daemon', 'stop')
  await publisher.ok('daemon', 'start')
  t.is((await listed(publisher)).pinned, true)
  t.ok((await publisher.ok('images')).includes('own,pinned'))
  t.is((await publisher.json<Listed>('unpin', 'image')).pinned, false)
  t.is((await publisher.run('pin', 'other')).exitCode, 3)
})

test('a mirror follows new versions, or holds what there was', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const publisher = await sandbox.machine('publisher')
  const following = await sandbox.machine('following')
  const holding = await sandbox.machine('holding')
  const { source, mirrorLink } = await published(sandbox, publisher)
  await following.ok('mirror', mirrorLink, '--wait')
  const held = await holding.json<Listed>('mirror', mirrorLink, '--wait', '--hold')
  t.is(held.kept, 'held')
  t.is(held.blocksHeld, held.blocksKnown)
  await update(publisher, source)
  await until(t, 'the new version comes to the mirror that follows', async () => {
    const { blocksHeld, blocksKnown } = await listed(following)
    return blocksKnown > held.blocksKnown && blocksHeld === blocksKnown
  })
  // The other one has heard of it just as long ago, or is asked until it has.
  await until(
    t,
    'the mirror that holds hears of the new version',
    async () => (await listed(holding)).blocksKnown > held.blocksKnown
  )
  t.is((await listed(holding)).blocksHeld, held.blocksHeld, 'no block of it came')

  const refused = await holding.run('--json', 'mirror', `${mirrorLink}@1`)
  t.is(refused.exitCode, 2)
  const { message } = (JSON.parse(refused.stderr) as Failure).error
  t.ok(message.includes('cannot tell the versions'), message)
  t.is((await holding.run('mirror', mirrorLink, '--hold', '--quota', '1M')).exitCode, 2)
})

test('two mirrors with a quota of 60 % hold the whole image together', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const publisher = await sandbox.machine('publisher')
  const reader = await sandbox.machine('reader')
  const { link, mirrorLink } = await published(sandbox, publisher)
  const { storedBytes, blocksKnown } = await listed(publisher)
  const quota = Math.floor(0.6 * storedBytes)
  const mirrors = [await sandbox.machine('one'), await sandbox.machine('other')]
  for (const mirror of mirrors) await mirror.ok('mirror', mirrorLink, '--quota', `${quota}`)
  await until(t, 'both mirrors are full and know each other', async () => {
    const states = await Promise.all(mirrors.map(listed))
    return states.every(({ complete, copies }) => complete && copies.length === 2)
  })
  for (const mirror of mirrors) {
    const { kept, blocksHeld, downloadedBytes } = await listed(mirror)
    t.is(kept, 'share')
    t.ok(blocksHeld < 0.75 * blocksKnown, `${blocksHeld} of ${blocksKnown} blocks`)
    t.ok(downloadedBytes < quota * 1.3, `${downloadedBytes} bytes came for a quota of ${quota}`)
  }
  await publisher.ok('daemon', 'stop')
  await reader.ok('pull', link, '--peer-timeout', '60')
  t.is((await reader.ok('cat', 'image', '/version')).trim(), '1', 'a reader has it from these two')
})

async function published(sandbox: Sandbox, publisher: Machine) {
  const source = join(sandbox.directory, 'source')
  mkdirSync(source)
  write(source, 1)
  const { link, mirrorLink } = await publisher.json<Shared>('share', source, '--name', 'image')
  return { source, link, mirrorLink }
}

async function update(publisher: Machine, source: string): Promise<void> {
  const { version } = await listed(publisher)
  rmSync(join(source, 'content'))
  write(source, (version ?? 0) + 1)
  await publisher.ok('share', source, '--update', 'image')
}

function write(source: string, version: number): void {
  writeFileSync(join(source, 'version'), `${version}\n`)
  writeFileSync(join(source, 'content'), randomBytes(CONTENT_BYTES))
}

async function listed(machine: Machine): Promise<Listed> {
  const [image] = await machine.json<Listed[]>('images')
  if (image === undefined) throw new Error('no image is listed')
  return image
}
