import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'brittle'
import { quoteForShell } from '../../src/boot/shell-quote.ts'
import { leftAfter, snapshot } from '../boot/leftovers.ts'
import { debianRootfs } from './rootfs.ts'
import type { Shared } from './results.ts'
import { LONG, Sandbox, type Machine } from './sandbox.ts'

const ROWS = 33
const COLUMNS = 111
const CTRL_C = '\u0003'
const POLL_MS = 30
/** Only ends what hangs, and tells what was there to see. */
const SHOWN_TIMEOUT_MS = 30_000

/** A command on a real terminal, which script(1) makes, with somebody who types. */
class Terminal {
  readonly #child: ChildProcess
  readonly exited: Promise<number | null>
  /** All that was shown since {@link until} last found something. */
  #shown = ''
  all = ''

  constructor(sandbox: Sandbox, machine: Machine, args: readonly string[]) {
    const [program, argv] = machine.argv(...args)
    const command = [program, ...argv].map(quoteForShell).join(' ')
    const inTerminal = `tty; stty rows ${ROWS} cols ${COLUMNS}; exec ${command}`
    this.#child = spawn('script', ['-qec', inTerminal, '/dev/null'], {
      env: {
        ...process.env,
        ...sandbox.sandboxEnvironment,
        DAT_CONTAINER_HOME: machine.home,
        TERM: 'xterm-256color',
        SHELL: '/bin/sh'
      }
    })
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on('data', (data: Buffer) => {
        this.#shown += data.toString()
        this.all += data.toString()
      })
    }
    this.exited = new Promise((resolve) => this.#child.once('close', resolve))
  }

  /** Waits until `pattern` is shown. @returns the match */
  async until(pattern: RegExp): Promise<RegExpExecArray> {
    const deadline = performance.now() + SHOWN_TIMEOUT_MS
    let ended = false
    void this.exited.then(() => (ended = true))
    for (;;) {
      const last = ended
      const match = pattern.exec(this.#shown)
      if (match !== null) {
        this.#shown = this.#shown.slice(match.index + match[0].length)
        return match
      }
      if (performance.now() > deadline)
        throw new Error(`never ${pattern}: ${JSON.stringify(this.all)}`)
      if (last) throw new Error(`ended without ${pattern}: ${JSON.stringify(this.all)}`)
      await sleep(POLL_MS)
    }
  }

  type(text: string): void {
    this.#child.stdin?.write(text)
  }

  line(text: string): void {
    this.type(`${text}\r`)
  }
}

test('a shell on a terminal: size, type, Ctrl-C, exit status, resizing', LONG, async (t) => {
  const before = snapshot()
  {
    await using sandbox = await Sandbox.open()
    const machine = await sandbox.machine('only')
    const { link } = await machine.json<Shared>('share', debianRootfs(), '--name', 'debian')
    await machine.ok('boot', link, '-n', 'box', '-d', '--wait', 'ready')
    for (const [verb, args] of [
      ['boot', ['boot', link, '--ephemeral', '--', 'sh']],
      ['exec', ['exec', '-it', 'box', '--', 'sh']]
    ] as const) {
      const terminal = new Terminal(sandbox, machine, args)
      const [outer] = await terminal.until(/\/dev\/pts\/\d+/)
      await terminal.until(/# $/)
      terminal.line('test -t 0 && test -t 1 && echo terminal-$((40 + 2))')
      await terminal.until(/terminal-42/)
      t.pass(`${verb}: a terminal`)
      terminal.line('stty size')
      await terminal.until(new RegExp(`\\b${ROWS} ${COLUMNS}\\b`))
      t.pass(`${verb}: of the same size`)
      terminal.line('echo it is $TERM')
      await terminal.until(/it is xterm-256color/)
      terminal.line('sleep 1000; echo')
      await terminal.until(/sleep 1000; echo\r\n/)
      await sleep(300)
      terminal.type(CTRL_C)
      terminal.line('echo status-$?')
      await terminal.until(/status-130/)
      t.pass(`${verb}: Ctrl-C ended the command, the shell goes on`)
      execFileSync('stty', ['-F', outer, 'rows', '44', 'cols', '122'])
      do terminal.line('stty size')
      while (!/^44 122$/m.test((await terminal.until(/^\d+ \d+(?=\r)/m))[0]))
      t.pass(`${verb}: a new size arrives`)
      terminal.line('exit 7')
      t.is(await terminal.exited, 7, `${verb}: exit status`)
    }
    await machine.ok('rm', '-f', 'box')
  }
  t.alike(await leftAfter(before), [], 'nothing is left')
})

test('a bar is drawn on a terminal and nowhere else', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const machine = await sandbox.machine('only')
  const terminal = new Terminal(sandbox, machine, ['share', debianRootfs(), '--name', 'shown'])
  t.is(await terminal.exited, 0)
  t.ok(/sharing .*\d+%/.test(terminal.all), 'drawn')
  const piped = await machine.run('share', debianRootfs(), '--name', 'piped')
  t.is(piped.exitCode, 0)
  t.absent(piped.stderr.includes('\r'), `no bar into a pipe: ${piped.stderr}`)
})

test('--json: exactly one document on stdout', LONG, async (t) => {
  const before = snapshot()
  {
    await using sandbox = await Sandbox.open()
    const machine = await sandbox.machine('only')
    const document = async (...args: string[]): Promise<unknown> => {
      const { stdout } = await machine.run('--json', ...args)
      try {
        const value: unknown = JSON.parse(stdout)
        t.ok(typeof value === 'object' && value !== null, args.join(' '))
        return value
      } catch {
        return t.fail(`${args.join(' ')}: ${JSON.stringify(stdout)}`)
      }
    }
    const shared = (await document('share', debianRootfs(), '--name', 'debian')) as Shared
    const directory = join(sandbox.directory, 'mnt')
    mkdirSync(directory)
    for (const args of [
      ['boot', shared.link, '-n', 'box', '-d', '--wait', 'ready'],
      ['boot', 'debian', '-d', '--ephemeral'],
      ['ps'],
      ['inspect', 'box'],
      ['stats', 'box'],
      ['images'],
      ['info', 'debian'],
      ['ls', 'debian', '/etc'],
      ['verify', 'debian'],
      ['pull', shared.link],
      ['mount', 'debian', directory],
      ['umount', directory],
      ['stop', 'box'],
      ['rm', '-f', 'box', 'debian'],
      ['ps', '--all'],
      ['daemon', 'status'],
      ['doctor']
    ]) {
      await document(...args)
    }
    t.alike(await machine.json('ps', '--all'), [], 'the second one was named after the image')
  }
  t.alike(await leftAfter(before), [], 'nothing is left')
})
