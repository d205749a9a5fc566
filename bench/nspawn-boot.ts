import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import {
  inCgroups,
  killCgroups,
  makeCgroups,
  ownCgroups,
  removeCgroups
} from '../src/boot/cgroup.ts'
import { planNspawn } from '../src/boot/nspawn-plan.ts'
import { preparePropagation, startNspawn, waitForLeader } from '../src/boot/nspawn-process.ts'
import { waitForExit } from '../src/boot/process-table.ts'
import { waitUntilReady } from '../src/boot/readiness.ts'
import { killContainer } from '../src/boot/stop-control.ts'

const NAME = 'bench-peer'
const EXIT_TIMEOUT_MS = 10_000

/**
 * What `boot` is compared with: systemd-nspawn on the directory itself, with the flags, the cgroups
 * and the question for readiness that `boot` uses. An overlay keeps the directory as it is; it is
 * mounted before the clock starts.
 *
 * @param beforeClock done last before the clock starts
 * @returns milliseconds from the command to systemd saying that start-up has ended
 */
export async function bootDirectly(
  rootfs: string,
  beforeClock: () => Promise<void>
): Promise<number> {
  const directory = await mkdtemp(join(tmpdir(), 'dat-bench-nspawn-'))
  const [upper, work, merged] = ['upper', 'work', 'merged'].map((name) => join(directory, name))
  for (const path of [upper, work, merged]) await mkdir(path ?? '')
  const layers = `lowerdir=${rootfs},upperdir=${upper},workdir=${work}`
  await execa('mount', ['-t', 'overlay', 'overlay', '-o', layers, merged ?? ''])
  const endPropagation = await preparePropagation(NAME)
  const cgroups = await makeCgroups(ownCgroups('bench', NAME))
  try {
    const flags = { machine: NAME, hostname: NAME, payload: { mode: 'boot' } as const }
    const command = planNspawn({ ...flags, root: merged ?? '', console: 'pipe' })
    await beforeClock()
    const started = performance.now()
    const nspawn = await startNspawn(inCgroups(cgroups, command), 'ignore', {})
    const leader = await waitForLeader(nspawn)
    const word = leader && (await waitUntilReady(leader, new AbortController().signal))
    const elapsedMs = performance.now() - started
    if (leader) await killContainer({ mode: 'boot', leader, cgroups })
    await waitForExit(nspawn.identity, EXIT_TIMEOUT_MS)
    if (word === undefined) throw new Error('systemd-nspawn did not boot the directory')
    return elapsedMs
  } finally {
    await killCgroups(cgroups)
    await removeCgroups(cgroups, { parents: 2 })
    await endPropagation()
    await execa('umount', [merged ?? ''])
    await rm(directory, { recursive: true, force: true })
  }
}
