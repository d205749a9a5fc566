import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { execa } from 'execa'
import {
  inCgroups,
  killCgroups,
  makeCgroups,
  ownCgroups,
  removeCgroups
} from '../../src/boot/nspawn/cgroup.ts'
import { planNspawn } from '../../src/boot/nspawn/nspawn-plan.ts'
import { NotifySocket } from '../../src/boot/nspawn/notify-socket.ts'
import {
  preparePropagation,
  startNspawn,
  waitForLeader
} from '../../src/boot/nspawn/nspawn-process.ts'
import { waitForExit } from '../../src/core/host/process-table.ts'
import { NspawnNotices } from '../../src/boot/nspawn/readiness.ts'
import { killContainer } from '../../src/boot/nspawn/stop-control.ts'
import type { Workload } from '../workloads/workload.ts'
import { nowMs } from './clock.ts'
import { markerIn, type Probe } from './readiness-watch.ts'
import type { StarHost } from './star.ts'

const NAME = 'wan-rival'
const EXIT_TIMEOUT_MS = 10_000
/** Some rivals take minutes where each block is a round trip. */
const READY_TIMEOUT_MS = 60_000

/**
 * Runs a workload with systemd-nspawn from a directory on a host, through an overlay that keeps the
 * directory as it is, with the flags and cgroups of `boot`; waits until it is ready and ends it.
 *
 * @param provide brings the directory there; what it takes is measured
 * @returns milliseconds from the start of `provide` to ready
 */
export async function readyFromDirectory(
  host: StarHost,
  workload: Workload,
  probe: Probe | undefined,
  provide: () => Promise<string>,
  onReady: () => void = () => {}
): Promise<number> {
  const directory = await mkdtemp(join(tmpdir(), 'dat-wan-dir-'))
  const [upper = '', work = '', merged = ''] = ['upper', 'work', 'merged'].map((name) =>
    join(directory, name)
  )
  for (const path of [upper, work, merged]) await mkdir(path)
  const endPropagation = await preparePropagation(NAME)
  const cgroups = await makeCgroups(ownCgroups('wan', NAME))
  let mounted = false
  try {
    const started = nowMs()
    const root = await provide()
    const layers = `lowerdir=${root},upperdir=${upper},workdir=${work}`
    await execa('mount', ['-t', 'overlay', 'overlay', '-o', layers, merged])
    mounted = true
    const readyAt = await run(host, workload, probe, merged, cgroups)
    onReady()
    return readyAt - started
  } finally {
    await killCgroups(cgroups)
    await removeCgroups(cgroups, { parents: 'own' })
    await endPropagation()
    if (mounted) await execa('umount', [merged])
    await rm(directory, { recursive: true, force: true, maxRetries: 3 })
  }
}

async function run(
  host: StarHost,
  { argv, ready }: Workload,
  probe: Probe | undefined,
  root: string,
  cgroups: Awaited<ReturnType<typeof makeCgroups>>
): Promise<number> {
  const boots = argv.length === 0
  const payload = boots ? ({ mode: 'boot' } as const) : ({ mode: 'process', argv } as const)
  const flags = { root, machine: NAME, hostname: NAME, payload, console: 'pipe' as const }
  const command = [...host.prefix, ...inCgroups(cgroups, planNspawn(flags))]
  const output = ready.by === 'output' ? 'pipe' : 'ignore'
  using notify = NotifySocket.open(`${root}.notify`)
  const nspawn = await startNspawn(command, ['ignore', output, 'ignore'], {}, notify.path)
  const notices = new NspawnNotices(notify, nspawn.identity)
  const marked =
    ready.by === 'output' ? markerIn(nspawn.child.stdout as Readable, ready.marker) : undefined
  const late = new AbortController()
  const ended = nspawn.exited.then(() => undefined)
  const timeout = sleep(READY_TIMEOUT_MS, undefined, { signal: late.signal }).catch(() => undefined)
  const leader = await waitForLeader(nspawn)
  const systemd = async (): Promise<number | undefined> =>
    (await notices.ready(late.signal)) ? nowMs() : undefined
  try {
    const watched = marked ?? probe?.answered ?? systemd()
    const readyAt = await Promise.race([watched, ended, timeout])
    if (readyAt === undefined)
      throw new Error(`not ready within ${READY_TIMEOUT_MS / 1_000} s, or ended early`)
    return readyAt
  } finally {
    late.abort()
    if (leader) await killContainer({ mode: boots ? 'boot' : 'process', leader, cgroups })
    await waitForExit(nspawn.identity, EXIT_TIMEOUT_MS)
  }
}
