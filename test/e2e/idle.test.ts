import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'brittle'
import type { Container, Shared } from './results.ts'
import { LONG, Sandbox } from './sandbox.ts'
import { tinyRootfs } from './tiny-rootfs.ts'

const WATCHED_MS = 5_000
/** V8 tidies up some seconds after a start, which takes one or two spells; what looks again and again has no quiet one. */
const SPELLS = 8
const MOST_WAKE_UPS = 4

for (const mode of ['erofs', 'fuse'] as const) {
  void test(
    `a container that does nothing wakes none of its processes (${mode})`,
    LONG,
    async (t) => {
      await using sandbox = await Sandbox.open()
      const machine = await sandbox.machine('only')
      const source = tinyRootfs(join(sandbox.directory, 'source'))
      const { link } = await machine.json<Shared>('share', source)
      await machine.ok('boot', '-d', '-n', 'idle', '--mount', mode, link, '--', 'sleep', 'infinity')
      const [container] = await machine.json<(Container & { pid: number })[]>('ps')
      const processes = { runner: container?.pid ?? 0, mounter: mounterOf(sandbox) }
      const control = setInterval(() => {}, 100)
      const least = new Map<string, number>()
      for (let spell = 0; spell < SPELLS; spell++) {
        const counts = await watch({ ...processes, 'this test, which looks': process.pid })
        for (const [name, count] of counts) {
          least.set(name, Math.min(least.get(name) ?? Infinity, count))
        }
        const quiet = Object.keys(processes).every(
          (name) => (least.get(name) ?? 0) <= MOST_WAKE_UPS
        )
        if (quiet) break
      }
      clearInterval(control)
      for (const [name, count] of least) {
        const text = `${name}: ${count} wake-ups in ${WATCHED_MS} ms`
        t.ok(count <= MOST_WAKE_UPS === name in processes, text)
      }
    }
  )
}

/** How often processes were woken within a spell. */
async function watch(processes: Readonly<Record<string, number>>): Promise<[string, number][]> {
  const before = Object.values(processes).map(wakeUps)
  await sleep(WATCHED_MS)
  return Object.entries(processes).map(([name, pid], index) => [
    name,
    wakeUps(pid) - (before[index] ?? 0)
  ])
}

/** How often threads of a process have waited so far: proc_pid_status(5). */
function wakeUps(pid: number): number {
  return readdirSync(`/proc/${pid}/task`).reduce((sum, thread) => {
    const status = readFileSync(`/proc/${pid}/task/${thread}/status`, 'utf8')
    return sum + Number(/^voluntary_ctxt_switches:\s*(\d+)$/m.exec(status)?.[1] ?? 0)
  }, 0)
}

/** The process that mounts for the one machine of a sandbox. */
function mounterOf({ directory }: Sandbox): number {
  const run = join(directory, 'run')
  for (const home of readdirSync(run)) {
    for (const mount of readdirSync(join(run, home, 'mounts'))) {
      const state = readFileSync(join(run, home, 'mounts', mount, 'state.json'), 'utf8')
      return (JSON.parse(state) as { pid: number }).pid
    }
  }
  throw new Error('nothing is mounted')
}
