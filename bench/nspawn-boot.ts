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
} from '../src/boot/nspawn/cgroup.ts'
import { planNspawn } from '../src/boot/nspawn/nspawn-plan.ts'
import { NotifySocket } from '../src/boot/nspawn/notify-socket.ts'
import {
  preparePropagation,
  startNspawn,
  waitForLeader
} from '../src/boot/nspawn/nspawn-process.ts'
import { waitForExit } from '../src/core/host/process-table.ts'
import { NspawnNotices } from '../src/boot/nspawn/readiness.ts'
import { killContainer } from '../src/boot/nspawn/stop-control.ts'

const NAME = 'bench-peer'
const EXIT_TIMEOUT_MS = 10_000

/**
 * What `boot` is compared with: systemd-nspawn on the directory itself, with the flags, the cgroups
 * and the wait for readiness of `boot`. An overlay keeps the directory as it is; it is
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
    using notify = NotifySocket.open(join(directory, 'notify'))
    const nspawn = await startNspawn(inCgroups(cgroups, command), 'ignore', {}, notify.path)
    const leader = await waitForLeader(nspawn)
    const notices = new NspawnNotices(notify, nspawn.identity)
    const word = await notices.ready(new AbortController().signal)
    const elapsedMs = performance.now() - started
    if (leader) await killContainer({ mode: 'boot', leader, cgroups })
    await waitForExit(nspawn.identity, EXIT_TIMEOUT_MS)
    if (word === undefined) throw new Error('systemd-nspawn did not boot the directory')
    return elapsedMs
  } finally {
    await killCgroups(cgroups)
    await removeCgroups(cgroups, { parents: 'own' })
    await endPropagation()
    await execa('umount', [merged ?? ''])
    await rm(directory, { recursive: true, force: true })
  }
}
