import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'brittle'
import type { Container, Shared } from './results.ts'
import { LONG, Sandbox } from './sandbox.ts'
import { tinyRootfs } from './tiny-rootfs.ts'

const STAGES = 8
const STEP_MS = 60

test('who boots is told when the process that runs the container is killed', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const machine = await sandbox.machine('machine')
  const { link } = await machine.json<Shared>('share', tinyRootfs(join(sandbox.directory, 'tiny')))
  const boot = ['boot', link, '-n', 'one', '-d', '--', 'sleep', '1000']
  for (let stage = 0; stage < STAGES; stage++) {
    const booting = machine.start(boot)
    const pid = await runnerOf(sandbox)
    await sleep(stage * STEP_MS)
    process.kill(pid, 'SIGKILL')
    const { exitCode, stdout, stderr } = await booting
    const isTold = exitCode === 0 ? stdout === 'one' : String(stderr).includes('has died')
    t.ok(isTold, `${stage * STEP_MS} ms after it was there: ${exitCode} ${String(stderr)}`)
    await machine.run('rm', '--force', 'one')
  }
  await machine.ok(...boot)
  t.is((await machine.json<Container[]>('ps')).length, 1, 'and then it boots')
})

/** The first that has this sandbox in its environment. */
async function runnerOf({ directory }: Sandbox): Promise<number> {
  for (;;) {
    for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      const [words, environment] = ['cmdline', 'environ'].map((name) => textOf(pid, name))
      if (words?.includes('runner-main') && environment?.includes(directory)) return Number(pid)
    }
    await sleep(5)
  }
}

function textOf(pid: string, name: string): string {
  try {
    return readFileSync(join('/proc', pid, name), 'utf8')
  } catch {
    return ''
  }
}
