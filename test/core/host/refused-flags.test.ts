import {
  copyFileSync,
  cpSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync
} from 'node:fs'
import { dirname, join } from 'node:path'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { execa } from 'execa'
import test from 'brittle'
import type { Container, Shared } from '../../e2e/results.ts'
import { LONG, MAIN, Sandbox } from '../../e2e/sandbox.ts'
import { tinyRootfs } from '../../e2e/tiny-rootfs.ts'
import { leftAfter, snapshot } from '../../boot/leftovers.ts'

const DIST = dirname(MAIN)
const ROOT = dirname(DIST)
/** Flags that one of the started programs has, and what no Node.js knows in their place. */
const FLAG = '--max-semi-space-size='
const UNKNOWN = '--flag-of-another-v8='

test(
  'programs whose flags this Node.js does not know are started again without',
  LONG,
  async (t) => {
    const before = snapshot()
    const folder = await mkdtemp(join(tmpdir(), 'dat-flags-'))
    t.teardown(() => rm(folder, { recursive: true, force: true }))
    const main = toolWithUnknownFlags(folder)
    const refused = await execa(process.execPath, [`${UNKNOWN}4`, main], { reject: false })
    t.is(refused.exitCode, 9, 'this Node.js refuses such a flag')
    t.ok(refused.stderr.includes('bad option'), refused.stderr)
    {
      await using sandbox = await Sandbox.open({ program: [process.execPath, main] })
      const machine = await sandbox.machine('only')
      const source = tinyRootfs(join(sandbox.directory, 'source'))
      const { link } = await machine.json<Shared>('share', source, '--name', 'tiny')
      const log = readFileSync(join(machine.home, 'daemon.log'), 'utf8')
      t.ok(log.includes(`bad option: ${UNKNOWN}`), 'the daemon was started with such a flag first')
      const state = await machine.json<Container>(
        ...['boot', link, '-n', 'one', '-d', '--', 'sleep', '1000']
      )
      t.is(state.state, 'running', 'mounter and runner work')
      t.is(await machine.ok('exec', 'one', '--', 'cat', '/etc/os-release'), 'ID=tiny')
      await machine.ok('rm', '--force', 'one')
      const ran = await machine.run('boot', link, '--rm', '--', 'sh', '-c', 'exit 7')
      t.is(ran.exitCode, 7, 'so does a container in the foreground')
    }
    t.alike(await leftAfter(before), [], 'nothing is left')
  }
)

/** The built command with a flag in it that no Node.js knows. @returns its script */
function toolWithUnknownFlags(folder: string): string {
  const dist = join(folder, 'dist')
  cpSync(DIST, dist, { recursive: true })
  copyFileSync(join(ROOT, 'package.json'), join(folder, 'package.json'))
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  for (const name of readdirSync(dist)) {
    if (!/\.c?js$/.test(name)) continue
    const path = join(dist, name)
    const text = readFileSync(path, 'latin1')
    if (text.includes(FLAG)) writeFileSync(path, text.replaceAll(FLAG, UNKNOWN), 'latin1')
  }
  return join(dist, 'main.js')
}
