import test from 'brittle'
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readTextInRoot, statInRoot } from '../../src/boot/root/rootfs-path.ts'

const TIMES = 20_000
/** Has `etc` be a directory and a link out of the tree by turns. */
const SWAP = `
const { renameSync } = require('node:fs')
process.chdir(process.argv[1])
process.stdout.write('began')
const parent = process.ppid
while (process.ppid === parent) {
  renameSync('etc', 'directory'); renameSync('link', 'etc')
  renameSync('etc', 'link'); renameSync('directory', 'etc')
}`

void test('a path that a container changes while it is looked up stays inside', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'dc-moving-'))
  const [root, outside] = ['root', 'outside'].map((name) => join(directory, name)) as [
    string,
    string
  ]
  for (const [place, text] of [
    [join(root, 'etc'), 'inside'],
    [outside, 'outside']
  ] as const) {
    mkdirSync(place, { recursive: true })
    writeFileSync(join(place, 'passwd'), text)
  }
  symlinkSync(outside, join(root, 'link'))
  const swapping = spawn(process.execPath, ['-e', SWAP, root])
  t.teardown(() => {
    swapping.kill('SIGKILL')
    rmSync(directory, { recursive: true })
  })
  await new Promise((resolve) => swapping.stdout.once('data', resolve))
  const { ino } = statSync(join(outside, 'passwd'))
  let [read, straight, out] = [0, 0, 0]
  for (let time = 0; time < TIMES; time++) {
    const text = await readTextInRoot(root, '/etc/passwd')
    if (text === 'inside') read++
    if (text === 'outside' || (await statInRoot(root, '/etc/passwd'))?.ino === ino) out++
    if (time % 10 === 0) {
      const plain = await readFile(join(root, 'etc/passwd'), 'utf8').catch(() => '')
      if (plain === 'outside') straight++
    }
  }
  t.comment(`${read} times found, ${straight} times led out by a plain open`)
  t.ok(read > 0 && straight > 0, 'it changes while it is read')
  t.is(out, 0, 'what is outside was never seen')
})
