import test from 'brittle'
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { copyFileSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { bootDetached } from '../../src/boot/runner/boot-detached.ts'
import type { ContainerOptions } from '../../src/boot/state/boot-options.ts'
import { execInContainer } from '../../src/boot/containers/exec.ts'
import { hostProgram } from '../../src/core/host/package-manager.ts'
import { LONG } from '../e2e/sandbox.ts'
import { bootFixture, type BootFixture } from '../boot/boot-fixture.ts'

const ATTACK = fileURLToPath(new URL('../../../test/hostile/takeover.pl', import.meta.url))
/** A program that is whatever program executes it, run once more inside. */
const ITSELF = '#!/proc/self/exe\n'
/** A plain nsenter is taken in most of them. */
const TAKING_TIMES = 20
/** How long a program is left to enter, and how long the attack to take it. */
const ENTERED_MS = 1_000
const TAKEN_MS = 200
const TIMES = 10

/** A container with a process that takes what it can of whoever enters. */
class Hostile {
  readonly #fixture: BootFixture
  readonly name: string
  readonly root: string
  readonly leader: number

  private constructor(fixture: BootFixture, name: string, root: string, leader: number) {
    this.#fixture = fixture
    this.name = name
    this.root = root
    this.leader = leader
  }

  static async boot(
    fixture: BootFixture,
    name: string,
    options: Partial<ContainerOptions>
  ): Promise<Hostile> {
    const wait = 'until [ -e /attack.pl ]; do sleep 0.05; done; exec perl /attack.pl'
    const { rootfs, leader } = await bootDetached({
      container: { ...fixture.base, name, command: ['sh', '-c', wait], ...options },
      wait: 'ready'
    })
    writeFileSync(join(rootfs, 'again'), ITSELF, { mode: 0o755 })
    // Whole when it is there: half of it would end at once.
    writeFileSync(join(rootfs, 'attack.new'), readFileSync(ATTACK))
    renameSync(join(rootfs, 'attack.new'), join(rootfs, 'attack.pl'))
    const hostile = new Hostile(fixture, name, rootfs, leader?.pid ?? 0)
    while (hostile.report() === undefined) await sleep(20)
    return hostile
  }

  async exec(...argv: string[]): Promise<number> {
    const { home } = this.#fixture
    return execInContainer({ home, name: this.name, argv, stdio: 'ignore' })
  }

  report(): string | undefined {
    try {
      return readFileSync(join(this.root, 'report'), 'utf8')
    } catch {
      return undefined
    }
  }

  /** Lets the attack look once more at all it has, and end. @returns what it says */
  async finish(): Promise<{ saw: string[]; took: string[] }> {
    writeFileSync(join(this.root, 'stop'), '')
    let report = ''
    while (!report.endsWith('DONE\n')) {
      report = this.report() ?? ''
      await sleep(20)
    }
    const lines = (word: string): string[] =>
      report.split('\n').filter((line) => line.startsWith(`${word} `))
    return { saw: lines('SAW'), took: lines('TOOK') }
  }
}

function digest(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex')
}

for (const [title, options] of [
  ['by default', {}],
  ['with users of its own', { privateUsers: 'auto' }],
  ['without user namespace and capabilities', { privateUsers: 'no', capDrop: ['all'] }],
  ['without user namespace', { privateUsers: 'no' }]
] as const satisfies [string, Partial<ContainerOptions>][]) {
  void test(`a container takes nothing of who enters it: ${title}`, LONG, async (t) => {
    const fixture = bootFixture(t)
    const programs = ['nsenter', 'setpriv', 'script'].map(hostProgram)
    const before = programs.map(digest)
    const hostile = await Hostile.boot(fixture, 'hostile', options)
    for (let time = 0; time < TIMES; time++) {
      t.is(await hostile.exec('sh', '-c', 'exit 7'), 7, 'the image runs commands')
      t.not(await hostile.exec('/again'), 0, 'the program does nothing a second time')
    }
    const { saw, took } = await hostile.finish()
    t.comment(`seen: ${saw.join(', ')}`)
    t.alike(took, [], 'nothing was taken')
    t.alike(
      saw.filter((line) => !line.includes('/memfd:dat-container-exec')),
      [],
      'or seen'
    )
    t.alike(programs.map(digest), before, 'programs of this machine are as they were')
  })
}

/**
 * Lets a program enter a container and execute itself there again and again, for a moment. As long as one of its
 * processes is left, nobody can write to it.
 */
async function enterByItself(program: string, leader: number): Promise<void> {
  const child = spawn(program, [`--target=${leader}`, '--all', '/again'], {
    detached: true,
    stdio: 'ignore'
  })
  const exited = once(child, 'exit')
  await Promise.race([exited, sleep(ENTERED_MS)])
  try {
    process.kill(-(child.pid ?? 0), 'SIGKILL')
  } catch {
    // The attack has killed all of it.
  }
  await exited
  // The attack has the file open, and takes it now.
  await sleep(TAKEN_MS)
}

void test('control: a plain nsenter is taken', LONG, async (t) => {
  const fixture = bootFixture(t)
  const directory = mkdtempSync(join(tmpdir(), 'dc-probe-target-'))
  t.teardown(async () => rmSync(directory, { recursive: true }))
  const copy = join(directory, 'nsenter')
  copyFileSync(hostProgram('nsenter'), copy)
  const before = digest(copy)
  const hostile = await Hostile.boot(fixture, 'hostile', { privateUsers: 'no' })
  // It executes itself, as /again is whatever executes it. Who is quicker, it or the attack, is chance.
  for (let time = 0; time < TAKING_TIMES && digest(copy) === before; time++) {
    await enterByItself(copy, hostile.leader)
  }
  const { saw, took } = await hostile.finish()
  t.ok(
    saw.some((line) => line.includes(copy)),
    'seen'
  )
  t.ok(
    took.some((line) => line.includes(copy)),
    'taken'
  )
  t.not(digest(copy), before, 'overwritten')
})
