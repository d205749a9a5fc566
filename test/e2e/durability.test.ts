import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'brittle'
import { CuttableDisk } from './power-cut.ts'
import type { Listed, Shared } from './results.ts'
import { Sandbox, type Machine, type Ran } from './sandbox.ts'

/** How often power is cut and processes are killed; the full count takes minutes. */
const ROUNDS = process.env['DAT_CONTAINER_TEST_SLOW'] === '1' ? 20 : 4
/** The latest moment in a publish of such a source, which takes some hundred milliseconds. */
const LATEST_MS = 900
const SLOW = { timeout: 900_000 }

interface Info {
  readonly version: number
}

test('versions that were told survive a killed daemon', SLOW, async (t) => {
  await using sandbox = await Sandbox.open()
  const machine = await sandbox.machine('publisher')
  const source = manyFiles(join(sandbox.directory, 'source'))
  let told = (await machine.json<Shared>('share', source, '--name', 'image')).version
  for (let round = 0; round < ROUNDS; round++) {
    const daemon = await daemonOf(machine)
    changeFiles(source)
    const publishing = machine.start(['--json', 'share', source, '--update', 'image'])
    await sleep(Math.random() * LATEST_MS)
    process.kill(daemon, 'SIGKILL')
    told = Math.max(told, versionTold((await publishing) as unknown as Ran))
    await holds(t, machine, told, `round ${round}`)
  }
  const last = await machine.json<Shared>('share', source, '--update', 'image')
  t.ok(last.version > told, 'and it publishes on')
})

test('versions that were told survive a power cut', SLOW, async (t) => {
  await using sandbox = await Sandbox.open()
  const machine = await sandbox.machine('publisher')
  using disk = new CuttableDisk(machine.home, join(sandbox.directory, 'disk'))
  const source = manyFiles(join(sandbox.directory, 'source'))
  let told = (await machine.json<Shared>('share', source, '--name', 'image')).version
  for (let round = 0; round < ROUNDS; round++) {
    const daemon = await daemonOf(machine)
    changeFiles(source)
    const publishing = machine.start(['--json', 'share', source, '--update', 'image'])
    // Every other time just after it was told, which is when most could be missing.
    const after = publishing.then((ran) => versionTold(ran as unknown as Ran))
    if (round % 2 === 0) told = Math.max(told, await after)
    else await sleep(Math.random() * LATEST_MS)
    // A file of its own: a loop device that lingers would show what it has of the one before.
    const copy = join(sandbox.directory, `cut-${round}.img`)
    disk.cut(daemon, copy)
    const cut = await sandbox.machine('cut')
    disk.mountCopy(copy, cut.home)
    await holds(t, cut, told, `round ${round}`)
    await cut.ok('daemon', 'stop')
    disk.unmount(cut.home)
    rmSync(copy)
    told = Math.max(told, await after)
  }
  await machine.ok('daemon', 'stop')
})

test('a log that others follow has one history after a power cut', SLOW, async (t) => {
  await using sandbox = await Sandbox.open()
  const machine = await sandbox.machine('publisher')
  using disk = new CuttableDisk(machine.home, join(sandbox.directory, 'disk'))
  const mirror = await sandbox.machine('mirror')
  const source = manyFiles(join(sandbox.directory, 'source'))
  const { link, mirrorLink } = await machine.json<Shared>('share', source, '--name', 'image')
  await mirror.ok('mirror', mirrorLink, '--wait')
  for (let round = 0; round < Math.ceil(ROUNDS / 4); round++) {
    const daemon = await daemonOf(machine)
    changeFiles(source)
    const publishing = machine.start(['--json', 'share', source, '--update', 'image'])
    await sleep(150 + Math.random() * LATEST_MS)
    const copy = join(sandbox.directory, `cut-${round}.img`)
    disk.cut(daemon, copy)
    process.kill(daemon, 'SIGKILL')
    await publishing
    // The mirror is not there when it publishes on: nobody could tell it what it has lost.
    await mirror.ok('daemon', 'stop')
    const kept = join(sandbox.directory, 'kept')
    disk.mountCopy(copy, kept)
    for (const name of ['store', 'images.json', 'store.json']) {
      rmSync(join(machine.home, name), { recursive: true, force: true })
      cpSync(join(kept, name), join(machine.home, name), { recursive: true })
    }
    disk.unmount(kept)
    rmSync(copy)
    // A disk that was cut holds what it holds: the next cut must not lose this copy.
    execFileSync('sync', ['--file-system', machine.home])
    const { version } = await machine.json<Shared>('share', source, '--update', 'image')
    await mirror.ok('daemon', 'start')
    await mirror.ok('mirror', mirrorLink, '--wait')
    const reader = await sandbox.machine(`reader-${round}`)
    t.is((await reader.json<Info>('info', link)).version, version, `round ${round}: it goes on`)
    await reader.ok('daemon', 'stop')
    const [listed] = await mirror.json<Listed[]>('images')
    t.ok((listed?.blocksKnown ?? 0) > 0, 'and the mirror has it')
  }
})

async function holds(
  t: {
    ok: (value: unknown, message: string) => void
    is: (a: unknown, b: unknown, message: string) => void
  },
  machine: Machine,
  told: number,
  when: string
): Promise<void> {
  const info = await machine.run('--json', 'info', 'image', '--offline')
  const version = info.exitCode === 0 ? (JSON.parse(info.stdout) as Info).version : 0
  t.ok(version >= told, `${when}: version ${version} is there, ${told} was told`)
  const verified = await machine.run('verify', 'image', '--offline')
  t.is(verified.exitCode, 0, `${when}: all of it is readable ${verified.stderr}`)
}

async function daemonOf(machine: Machine): Promise<number> {
  return (await machine.json<{ pid: number }>('daemon', 'start')).pid
}

/** 0 where nothing was told. */
function versionTold({ exitCode, stdout }: Ran): number {
  return exitCode === 0 ? (JSON.parse(stdout) as Shared).version : 0
}

function manyFiles(directory: string): string {
  mkdirSync(directory)
  for (let file = 0; file < 60; file++) {
    writeFileSync(join(directory, `file-${file}`), randomBytes(20_000 + 1000 * file))
  }
  return directory
}

function changeFiles(directory: string): void {
  for (const file of [3, 14, 15, 92]) {
    writeFileSync(join(directory, `file-${file}`), randomBytes(250_000))
  }
}
