import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import test from 'brittle'
import type { Container, Shared } from './results.ts'
import { LONG, Sandbox, type Machine } from './sandbox.ts'
import { tinyRootfs } from './tiny-rootfs.ts'

const READER = fileURLToPath(new URL('read-tree-main.js', import.meta.url))
/** DAT_CONTAINER_TEST_KILLS=20 takes some minutes longer. */
const KILLS = Number(process.env['DAT_CONTAINER_TEST_KILLS'] ?? 4)
const WAYS = ['read', 'mmap', 'walk'] as const
/** Files for each kill: what is read has not been read before. */
const FILES = 12
const FILE_BYTES = 150_000

interface Health extends Container {
  readonly imageLost: boolean
  readonly mounterRestarts: number
}

for (const mode of ['erofs', 'fuse']) {
  test(
    `a mounter that is killed is succeeded, and nobody who reads notices (${mode})`,
    { timeout: LONG.timeout * Math.max(1, KILLS / 4) },
    async (t) => {
      await using sandbox = await Sandbox.open()
      const { reader, directory, source } = await mounted(sandbox, mode)
      const [before] = await reader.json<Health[]>('ps')
      t.is(before?.mounterRestarts, 0)
      let failures = 0
      let differences = 0
      for (let round = 0; round < KILLS; round++) {
        const part = partName(round)
        const expected = await Promise.all(
          WAYS.map((how) => readTree(how, join(source, part)).ended)
        )
        const readers = WAYS.map((how) => readTree(how, join(directory, part)))
        await Promise.all(readers.map(({ begun }) => begun))
        await sleep(3 * round)
        const { pid } = mounterOf(sandbox)
        process.kill(pid, 'SIGKILL')
        for (const [index, { ended }] of readers.entries()) {
          const found = await ended
          if (found.code !== 0) failures++
          if (found.hash !== expected[index]?.hash) differences++
        }
        // Nobody has come then, and nobody will.
        if (failures > 0) break
        await successorOf(sandbox, pid)
      }
      t.is(failures, 0, `no access failed in ${KILLS} kills`)
      t.is(differences, 0, 'and all content is right')
      t.ok((await reader.ok('exec', 'one', '--', 'ls', '/')).includes('part-00'), 'it runs on')
      const [after] = await reader.json<Health[]>('ps')
      t.is(after?.leader, before?.leader, 'the same container')
      t.is(after?.mounterRestarts, KILLS)
      t.ok((await reader.ok('ps')).includes(`running, mounter restarted ${KILLS} x`))

      // Longer than a mount stays that nobody leases.
      await reader.ok('umount', directory)
      await reader.ok('stats', 'one')
      await sleep(3_000)
      const late = `cat /${partName(KILLS)}/file-00 > /dev/null`
      const { exitCode } = await reader.run('exec', 'one', '--', 'sh', '-c', late)
      t.is(exitCode, 0, 'who uses the mount has leased it from the successor')
      await reader.ok('stop', 'one')
      await gone(sandbox)
      t.alike(processesOf(sandbox), [], 'no process is left')
    }
  )

  test(`a successor and who starts it may be killed too (${mode})`, LONG, async (t) => {
    await using sandbox = await Sandbox.open()
    const { reader, directory, source } = await mounted(sandbox, mode)
    const { pid } = mounterOf(sandbox)
    const standby = await standbyOf(pid)
    process.kill(pid, 'SIGKILL')
    // One that the shell has forked is not to be killed before it is the program.
    const early = await childOf(standby, /^\S*node/)
    process.kill(early, 'SIGKILL')
    t.is(
      (await readTree('read', join(directory, partName(0))).ended).hash,
      (await readTree('read', join(source, partName(0))).ended).hash,
      'after a successor that did not come to serve'
    )
    const second = await successorOf(sandbox, pid)
    t.not(second, early)

    process.kill(standby, 'SIGKILL')
    const other = await standbyOf(second)
    process.kill(second, 'SIGKILL')
    t.is(
      (await readTree('mmap', join(directory, partName(1))).ended).hash,
      (await readTree('mmap', join(source, partName(1))).ended).hash,
      'a standby that dies is replaced'
    )
    const third = await successorOf(sandbox, second)

    // The control: with nobody who stands by, the same kill is seen.
    // Stopped, it cannot start another standby in between.
    process.kill(third, 'SIGSTOP')
    process.kill(other, 'SIGKILL')
    process.kill(third, 'SIGKILL')
    const { code } = await readTree('read', join(directory, partName(2))).ended
    t.not(code, 0, 'without a standby reads fail')
    const [listed] = await reader.json<Health[]>('ps')
    t.is(listed?.imageLost, true, 'and ps tells it')
    t.ok((await reader.ok('ps')).includes('running, image lost: stop and boot it again'))
    await reader.ok('stop', 'one')
    await gone(sandbox)
    t.alike(processesOf(sandbox), [], 'no process is left')
  })
}

interface Mounted {
  readonly reader: Machine
  readonly directory: string
  readonly source: string
}

/** An image that is mounted at a directory and runs as a container, both from one mounter. */
async function mounted(sandbox: Sandbox, mode: string): Promise<Mounted> {
  const publisher = await sandbox.machine('publisher')
  const reader = await sandbox.machine('reader')
  const source = tinyRootfs(join(sandbox.directory, 'source'))
  for (let round = 0; round <= KILLS; round++) {
    const part = join(source, partName(round))
    mkdirSync(part)
    for (let n = 0; n < FILES; n++) {
      writeFileSync(join(part, `file-${String(n).padStart(2, '0')}`), randomBytes(FILE_BYTES))
    }
  }
  const { link } = await publisher.json<Shared>('share', source)
  const directory = join(sandbox.directory, 'mnt')
  mkdirSync(directory)
  await reader.ok('mount', link, directory, '--mount', mode, '--lazy-only')
  const boot = ['boot', link, '-n', 'one', '-d', '--mount', mode, '--lazy-only']
  await reader.ok(...boot, '--', 'sleep', '1000')
  return { reader, directory, source }
}

function partName(round: number): string {
  return `part-${String(round).padStart(2, '0')}`
}

interface Reading {
  readonly begun: Promise<unknown>
  readonly ended: Promise<{ readonly code: number | null; readonly hash: string }>
}

function readTree(how: (typeof WAYS)[number], directory: string): Reading {
  const child = spawn(process.execPath, [READER, how, directory], {
    stdio: ['ignore', 'pipe', 'ignore']
  })
  let said = ''
  child.stdout.on('data', (data) => (said += String(data)))
  return {
    begun: once(child.stdout, 'data'),
    ended: once(child, 'close').then(([code]) => ({
      code: code as number | null,
      hash: said.replace('begun\n', '')
    }))
  }
}

/** What the one mounter of a sandbox says of itself. */
function mounterOf(sandbox: Sandbox): { readonly pid: number } {
  // Not recursively: what is mounted there may not answer.
  const homes = directories(join(sandbox.directory, 'run'))
  const [mount] = homes.flatMap((home) => directories(join(home, 'mounts')))
  if (mount === undefined) throw new Error('nothing is mounted')
  return JSON.parse(readFileSync(join(mount, 'state.json'), 'utf8')) as { pid: number }
}

function directories(parent: string): string[] {
  return existsSync(parent) ? readdirSync(parent).map((name) => join(parent, name)) : []
}

async function successorOf(sandbox: Sandbox, pid: number): Promise<number> {
  for (;;) {
    const now = mounterOf(sandbox).pid
    if (now !== pid) return now
    await sleep(20)
  }
}

/** Waits for the shell that a mounter starts; its daemon may be another child of it. */
function standbyOf(pid: number): Promise<number> {
  return childOf(pid, /dat-container-standby/)
}

async function childOf(pid: number, command: RegExp): Promise<number> {
  for (;;) {
    const child = childrenOf(pid).find((candidate) => command.test(commandOf(candidate)))
    if (child !== undefined) return child
    await sleep(5)
  }
}

function commandOf(pid: number | string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
  } catch {
    // It has ended.
    return ''
  }
}

function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    .split(' ')
    .filter(Boolean)
    .map(Number)
}

/** Waits until nothing of the sandbox is mounted: a mounter lingers a moment. */
async function gone(sandbox: Sandbox): Promise<void> {
  const directory = join(sandbox.directory, 'run')
  while (readFileSync('/proc/self/mountinfo', 'utf8').includes(directory)) await sleep(50)
  // Its process ends after its mount.
  for (let n = 0; n < 100 && processesOf(sandbox).length > 0; n++) await sleep(50)
}

/** Command lines of mounters and of those who stand by for them. */
function processesOf(sandbox: Sandbox): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const runsHere = readFileSync(`/proc/${pid}/environ`, 'latin1').includes(sandbox.directory)
        const command = commandOf(pid)
        return runsHere && /mounter-main|standby/.test(command) ? [`${pid}: ${command}`] : []
      } catch {
        return []
      }
    })
}
