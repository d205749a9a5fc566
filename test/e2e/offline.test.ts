import { randomBytes } from 'node:crypto'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'brittle'
import type { Failure, Listed, Shared } from './results.ts'
import { LONG, Sandbox, type Machine } from './sandbox.ts'
import { tinyRootfs } from './tiny-rootfs.ts'

interface Info {
  readonly version: number
  readonly freed: readonly number[]
  readonly mayBeOld: boolean
  readonly peers: number
  readonly complete: boolean
}

interface Status {
  readonly bytesRead: number
}

test('a mirror does not wait for what its owner has freed, and info marks it', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const owner = await sandbox.machine('owner')
  const { source, link, mirrorLink } = await published(sandbox, owner)
  await update(owner, source, 2)
  await update(owner, source, 3)
  await owner.ok('gc', '--old-versions')
  const mirror = await sandbox.machine('mirror')
  const state = await mirror.json<Listed>('mirror', mirrorLink, '--wait')
  t.ok(state.blocksHeld < state.blocksKnown, `${state.blocksHeld} of ${state.blocksKnown} blocks`)

  t.alike((await owner.json<Info>('info', link)).freed, [1, 2], 'the owner knows')
  const reader = await sandbox.machine('reader')
  t.alike((await reader.json<Info>('info', link)).freed, [1, 2], 'and so does a reader')
  const marked = (await reader.ok('info', link))
    .split('\n')
    .filter((line) => /\bfreed\b/.test(line))
  t.is(marked.length, 2, marked.join('\n'))
  await owner.ok('daemon', 'stop')
  await reader.ok('pull', link)
  t.ok((await reader.json<Info>('info', link)).complete, 'the mirror has all of the newest')
})

test('--offline takes nothing from a peer that is connected', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const owner = await sandbox.machine('owner')
  const reader = await sandbox.machine('reader')
  const { source, link } = await published(sandbox, owner)
  const stranger = await reader.run('--json', 'info', link, '--offline')
  t.is(stranger.exitCode, 4, 'of an image that is not here')
  t.alike(await reader.json<Listed[]>('images'), [], 'nothing has come')

  // Its index and manifest, and not its content.
  await reader.ok('info', link)
  await connected(reader)
  const before = await bytesRead(reader)
  const partly = await reader.run('--json', 'pull', link, '--offline')
  t.is(partly.exitCode, 4)
  const { error } = JSON.parse(partly.stderr) as Failure
  t.is(error.code, 'PEERS_UNREACHABLE')
  t.ok(error.message.includes('not on this machine'), error.message)
  const read = await reader.run('cat', link, '/data/large', '--offline')
  t.is(read.exitCode, 4, 'nor is a file read')
  t.ok((await bytesRead(reader)) - before < CONTENT_BYTES / 10, 'no content came')
  await reader.ok('pull', link)
  t.ok((await bytesRead(reader)) - before > CONTENT_BYTES / 2, 'without --offline it does')

  await update(owner, source, 2)
  await connected(reader)
  // The owner tells how long its log is, unasked.
  await until(async () => (await listed(reader)).blocksKnown > (await listed(reader)).blocksHeld)
  const blocks = await held(reader)
  const offline = await reader.json<Info>('info', link, '--offline')
  t.alike([offline.version, offline.complete, offline.mayBeOld], [1, true, true], 'the one here')
  await reader.ok('pull', link, '--offline')
  await reader.ok('verify', link, '--offline')
  const newer = await reader.run('info', link.replace('#', '@2#'), '--offline')
  t.is(newer.exitCode, 4, 'one that is not here')
  t.is(await held(reader), blocks, 'no block has come')
  t.is((await reader.json<Info>('info', link)).version, 2, 'without --offline the newest is there')
})

test(
  'a reader that reaches nobody says that its newest version may be outdated',
  LONG,
  async (t) => {
    await using sandbox = await Sandbox.open()
    const owner = await sandbox.machine('owner')
    const reader = await sandbox.machine('reader')
    const { link } = await published(sandbox, owner)
    const here = await reader.run('pull', link)
    t.absent(here.stderr.includes('may be outdated'), 'not while its owner is there')
    const boot = ['boot', link, '--ephemeral', '--', 'true']
    t.absent((await reader.run(...boot)).stderr.includes('may be outdated'), 'nor does boot')
    await owner.ok('daemon', 'stop')
    await until(async () => (await listed(reader)).peers === 0)
    for (const verb of [['info', link], ['pull', link], boot]) {
      const { exitCode, stderr } = await reader.run(...verb)
      t.is(exitCode, 0, verb[0])
      t.ok(stderr.includes('version 1 is the newest one known here, and may be outdated'), stderr)
    }
    const detached = await reader.run('boot', link, '-n', 'late', '-d', '--', 'sleep', '60')
    t.ok(detached.stderr.includes('may be outdated'), detached.stderr)
    await reader.ok('rm', '--force', 'late')
    t.ok((await reader.json<Info>('info', link)).mayBeOld)
    const pinned = await reader.run('info', link.replace('#', '@1#'))
    t.absent(
      pinned.stderr.includes('may be outdated'),
      'a version that was asked for is what it is'
    )
  }
)

const CONTENT_BYTES = 4 * 1024 * 1024

async function published(sandbox: Sandbox, owner: Machine) {
  const source = tinyRootfs(join(sandbox.directory, 'source'))
  mkdirSync(join(source, 'data'))
  writeFileSync(join(source, 'data', 'large'), randomBytes(CONTENT_BYTES))
  const { link, mirrorLink } = await owner.json<Shared>('share', source, '--name', 'image')
  return { source, link, mirrorLink }
}

async function update(owner: Machine, source: string, version: number): Promise<void> {
  rmSync(join(source, 'data', 'large'))
  writeFileSync(join(source, 'data', 'large'), randomBytes(CONTENT_BYTES))
  const shared = await owner.json<Shared>('share', source, '--update', 'image')
  if (shared.version !== version) throw new Error(`version ${shared.version} was published`)
}

async function listed(machine: Machine): Promise<Listed> {
  const [image] = await machine.json<Listed[]>('images')
  if (image === undefined) throw new Error('no image is listed')
  return image
}

async function held(machine: Machine): Promise<number> {
  return (await listed(machine)).blocksHeld
}

function connected(machine: Machine): Promise<void> {
  return until(async () => (await listed(machine)).peers > 0)
}

async function bytesRead(machine: Machine): Promise<number> {
  return (await machine.json<Status>('daemon', 'status')).bytesRead
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await sleep(200)
}
