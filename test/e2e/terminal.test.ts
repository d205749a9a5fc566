import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'brittle'
import { leftAfter, snapshot } from '../boot/leftovers.ts'
import { debianRootfs } from './rootfs.ts'
import type { Shared } from './results.ts'
import { LONG, Sandbox } from './sandbox.ts'
import { COLUMNS, CTRL_C, ROWS, Terminal } from './terminal.ts'

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
