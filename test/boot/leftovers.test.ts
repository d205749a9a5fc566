import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import test from 'brittle'
import { compare, leftAfter, snapshot } from './leftovers.ts'

/** A mount, a loop device and a process that have to do with `directory` and nothing else. */
function litter(directory: string): AsyncDisposable {
  const file = join(directory, 'file')
  writeFileSync(file, Buffer.alloc(1 << 20))
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', directory])
  writeFileSync(file, Buffer.alloc(1 << 20))
  const device = execFileSync('losetup', ['--find', '--show', file]).toString().trim()
  const sleeper = spawn('/bin/sleep', ['60'], { env: { TMPDIR: directory }, stdio: 'ignore' })
  return {
    [Symbol.asyncDispose]: async () => {
      sleeper.kill()
      await new Promise((resolve) => sleeper.once('close', resolve))
      execFileSync('losetup', ['--detach', device])
      execFileSync('umount', [directory])
      rmSync(directory, { recursive: true })
    }
  }
}

test('what a test leaves is found, what others have is not', async (t) => {
  const before = snapshot()
  {
    await using _theirs = litter(mkdtempSync(join(dirname(tmpdir()), 'other-')))
    t.alike(compare(before, snapshot()), [], 'of others')
  }
  {
    await using _ours = litter(mkdtempSync(join(tmpdir(), 'own-')))
    const kinds = compare(before, snapshot()).map((line) => line.split(':')[0])
    t.alike(new Set(kinds), new Set(['mounts', 'loopDevices', 'processes']))
  }
  t.alike(await leftAfter(before), [])
})
