import test from 'brittle'
import { spawnSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LOWEST_ERROR } from '../../../src/boot/enter/instructions.ts'
import { ProgramBuilder } from '../../../src/boot/enter/program-builder.ts'
import { makeUserProgram } from '../../../src/boot/enter/user-program.ts'
import { sealProgram } from '../../../src/boot/enter/sealed-program.ts'
import { SYSTEM_CALLS, type Processor } from '../../../src/boot/enter/system-calls.ts'

/** What runs another processor's programs here, where it is installed. */
const EMULATORS = { x64: 'qemu-x86_64-static', arm64: 'qemu-aarch64-static' } as const
const SIGCHLD = 17
const OUT = 1

/** Uses each kind of instruction, and ends with 42 when all of them do what they should. */
function everyInstruction(processor: Processor): Buffer {
  const builder = new ProgramBuilder(processor)
  const { data } = builder
  const [status, child, count] = [data.words(0n), data.words(0n), data.words(0n)]
  const say = (text: string): void => builder.try('write', OUT, data.text(text), text.length)

  builder.set(0)
  builder.label('again')
  builder.add(1)
  builder.store(count)
  builder.load(count)
  builder.jumpIf('notEqual', 3, 'again')
  say('counted ')
  builder.try('chdir', data.text('/nowhere/at/all'))
  builder.jumpIf('equal', -2, 'absent')
  say('wrong ')
  builder.label('absent')
  builder.jumpIf('atLeast', LOWEST_ERROR, 'failed')
  say('wrong ')
  builder.label('failed')
  builder.call('change the directory', 'chdir', data.text('/'))
  builder.jumpIf('atLeast', 1, 'bad')

  builder.call('fork', 'clone', SIGCHLD, 0, 0, 0, 0)
  builder.jumpIf('equal', 0, 'child')
  builder.store(child)
  builder.call('fork', 'wait4', { at: child }, status, 0, 0)
  builder.jumpIf('notEqual', { at: child }, 'bad')
  builder.load(status)
  builder.and(0x7f)
  builder.jumpIf('notEqual', 0, 'bad')
  builder.load(status)
  builder.shiftRight(8)
  builder.and(0xff)
  builder.add(35)
  builder.store(status)
  builder.jump('good')
  builder.label('bad')
  builder.set(1)
  builder.store(status)
  builder.label('good')
  builder.end({ at: status })

  builder.label('child')
  const argv = data.texts(['sh', '-c', 'echo "$A from $0"; exit 7'])
  builder.try('execve', data.text('/bin/sh'), argv, data.texts(['A=said']))
  builder.trap()
  return builder.toElf()
}

for (const processor of Object.keys(SYSTEM_CALLS) as Processor[]) {
  void test(`generated programs run: ${processor}`, (t) => {
    const directory = mkdtempSync(join(tmpdir(), 'dc-program-'))
    t.teardown(async () => rmSync(directory, { recursive: true }))
    const path = join(directory, 'program')
    writeFileSync(path, everyInstruction(processor), { mode: 0o755 })
    const emulator = EMULATORS[processor]
    const [program, args] = processor === process.arch ? [path, []] : [emulator, [path]]
    const { error, status, stdout } = spawnSync(program, args, { encoding: 'utf8' })
    if (error !== undefined && processor !== process.arch) {
      t.comment(`not tried: no ${emulator}`)
      return
    }
    t.is(stdout, 'counted said from sh\n')
    t.is(status, 42)

    const user = { uid: 12, gid: 7, groups: [7, 8] }
    const command = ['sh', '-c', 'id -u; id -G; echo "$0 $A"', 'the name']
    const change = { user, path: '/bin/sh', argumentCount: command.length }
    writeFileSync(path, makeUserProgram(change, processor), { mode: 0o755 })
    const changed = spawnSync(program, [...args, ...command], {
      encoding: 'utf8',
      env: { ...process.env, A: 'a b' }
    })
    t.is(changed.stdout, '12\n7 8\nthe name a b\n', 'another user, with arguments and variables')
  })
}

void test('a sealed program cannot be changed', (t) => {
  const fd = sealProgram(everyInstruction(process.arch as Processor))
  t.exception(() => writeSync(fd, 'x', 0), /EPERM/)
  const again = openSync(`/proc/self/fd/${fd}`, 'r+')
  t.exception(() => writeSync(again, 'x', 0), /EPERM/)
  closeSync(again)
  const { status } = spawnSync('/proc/self/fd/3', [], { stdio: ['ignore', 'pipe', 'pipe', fd] })
  t.is(status, 42, 'and runs')
  closeSync(fd)
})
