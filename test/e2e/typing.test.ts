import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'brittle'
import { ConsoleKeys } from '../../src/boot/console/console-keys.ts'
import { leftAfter, snapshot } from '../boot/leftovers.ts'
import { scriptInitRootfs } from '../boot/script-init.ts'
import type { Shared } from './results.ts'
import { LONG, Sandbox, type Machine } from './sandbox.ts'
import { COLUMNS, CTRL_C, ROWS, Terminal } from './terminal.ts'

const ESCAPE = '\u001d'

/** An init that says what it hears, and ends in order when it is told to. */
const LISTENS = `trap 'echo it ends in order; sleep 0.5; exit 0' TERM
stty size
while :; do read -r line && case $line in
  *$(printf '\\035')*) echo "heard $((40 + 2)) an escape" ;;
  deaf) trap '' TERM; echo "heard $((40 + 2)) $line" ;;
  *) echo "heard $((40 + 2)) $line" ;;
esac; done`

/** Tells of the terminal when the command has ended. */
const AFTER = 'status=$?; echo terminal $(stty -g); exit $status'

interface Given {
  readonly sandbox: Sandbox
  readonly machine: Machine
  readonly link: string
}

async function withListener(run: (given: Given) => Promise<void>): Promise<string[]> {
  const rootfs = scriptInitRootfs(LISTENS, ['stty', 'printf'])
  const before = snapshot()
  try {
    await using sandbox = await Sandbox.open()
    const machine = await sandbox.machine('only')
    const { link } = await machine.json<Shared>('share', rootfs, '--name', 'listener')
    await run({ sandbox, machine, link })
  } finally {
    rmSync(rootfs, { recursive: true })
  }
  return leftAfter(before)
}

/** Settings of a terminal, as `stty -g` tells. */
function settings(terminal: string): string {
  return execFileSync('stty', ['-g', '-F', terminal], { encoding: 'utf8' })
}

test('who boots an init in the foreground types to it, and Ctrl-C stops it', LONG, async (t) => {
  const left = await withListener(async ({ sandbox, machine, link }) => {
    const terminal = new Terminal(sandbox, machine, ['boot', link, '-n', 'box'], AFTER)
    const [outer] = await terminal.until(/\/dev\/pts\/\d+/)
    const before = settings(outer)
    await terminal.until(/your input goes to the container; Ctrl-C stops it, Ctrl-\] three times/)
    await terminal.until(new RegExp(`\\b${ROWS} ${COLUMNS}\\b`))
    t.not(settings(outer), before, 'what is typed is not for this machine')
    terminal.line('a line')
    await terminal.until(/heard 42 a line/)
    t.pass('it is heard')
    terminal.line(`one${ESCAPE}two`)
    await terminal.until(/heard 42 an escape/)
    terminal.type(ESCAPE)
    await sleep(1_100)
    terminal.line(`${ESCAPE}${ESCAPE}`)
    await terminal.until(/heard 42 an escape/)
    t.pass('escapes that are not three within a second are the container’s')
    terminal.type(CTRL_C)
    await terminal.until(/it ends in order/)
    const [, after] = await terminal.until(/terminal (\S+)\r/)
    t.is(after, before.trim(), 'the terminal is as it was')
    t.is(await terminal.exited, 130, 'as Ctrl-C had it before there was typing')
    const [{ state } = { state: '' }] = await machine.json<{ state: string }[]>('ps', '--all')
    t.is(state, 'stopped')
  })
  t.alike(left, [], 'nothing is left')
})

test('Ctrl-] three times ends a container that does not listen', LONG, async (t) => {
  const left = await withListener(async ({ sandbox, machine, link }) => {
    const terminal = new Terminal(sandbox, machine, ['boot', link, '-n', 'box'], AFTER)
    const [outer] = await terminal.until(/\/dev\/pts\/\d+/)
    const before = settings(outer)
    await terminal.until(/goes to the container/)
    await terminal.until(new RegExp(`\\b${ROWS} ${COLUMNS}\\b`))
    terminal.line('deaf')
    await terminal.until(/heard 42 deaf/)
    terminal.type(CTRL_C)
    terminal.line('still there')
    await terminal.until(/heard 42 still there/)
    t.pass('it does not end by Ctrl-C')
    terminal.type(ESCAPE + ESCAPE + ESCAPE)
    const [, after] = await terminal.until(/terminal (\S+)\r/)
    t.is(after, before.trim(), 'the terminal is as it was')
    t.is(await terminal.exited, 130)
    t.alike(await machine.json('ps'), [], 'it runs no more')
  })
  t.alike(left, [], 'nothing is left')
})

test('without somebody who types, an init has no input', LONG, async (t) => {
  const left = await withListener(async ({ machine, link }) => {
    const booted = machine.start(['boot', link, '-n', 'box'], { input: 'a line\n' })
    // The first that it says: it listens by then.
    if (booted.stdout === null) throw new TypeError('no output')
    await once(booted.stdout, 'data')
    await machine.ok('stop', 'box')
    const { stdout, stderr } = await booted
    t.ok(String(stdout).includes('it ends in order'), String(stdout))
    t.absent(String(stdout).includes('heard'))
    t.absent(String(stderr).includes('your input'))
  })
  t.alike(left, [], 'nothing is left')
})

test('keys are the container’s but for those that are ours', (t) => {
  const keys = new ConsoleKeys()
  const read = (text: string, nowMs: number): [string, string[]] => {
    const { passed, requests } = keys.read(Buffer.from(text), nowMs)
    return [Buffer.from(passed).toString(), requests]
  }
  t.alike(read('ls\r\u0004\u001a\u001c\u001b[A', 0), ['ls\r\u0004\u001a\u001c\u001b[A', []])
  t.alike(read('ab\u0003c', 1), ['abc', ['stop']])
  t.alike(read(ESCAPE, 100), [ESCAPE, []])
  t.alike(read(ESCAPE, 600), [ESCAPE, []])
  t.alike(read(ESCAPE, 1_099), ['', ['end']], 'the third within a second')
  t.alike(read(`${ESCAPE}${ESCAPE}x${ESCAPE}`, 2_000), [`${ESCAPE}${ESCAPE}x${ESCAPE}`, []])
  t.alike(read(ESCAPE, 2_500), [ESCAPE, []], 'the second in a row')
  t.alike(read(ESCAPE, 3_100), [ESCAPE, []], 'the first was longer ago')
  t.alike(read(ESCAPE, 3_200), ['', ['end']])
})
