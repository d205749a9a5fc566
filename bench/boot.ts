/**
 * Time to ready of a container that is booted over peers, against systemd-nspawn on the same
 * directory, in turns.
 *
 *   node build/bench/boot.js ROOTFS [RUNS]
 */
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { Sandbox, type Machine } from '../test/e2e/sandbox.ts'
import type { Shared, Stats } from '../test/e2e/results.ts'
import { dropKernelCaches } from './cold-caches.ts'
import { bootDirectly } from './nspawn-boot.ts'
import { report, type Row } from './report.ts'
import { median, rounded } from './statistics.ts'

/** The bar: so many times the direct boot, and a second. */
const MOST_TIMES = 2.5
const EXTRA_MS = 1_000
/** A daemon that has just been started is left to find its place in the DHT. */
const SETTLE_MS = 1_000
const NAME = 'bench'

interface Inspected {
  readonly current: {
    readonly timings: {
      readonly mountedMs: number
      readonly startedMs: number
      readonly readyMs: number
    }
  }
}

interface Booted {
  readonly elapsedMs: number
  readonly row: Row
}

const [rootfs, runs = '5'] = process.argv.slice(2)
if (rootfs === undefined) {
  console.error('usage: node build/bench/boot.js ROOTFS [RUNS]')
  process.exit(2)
}

const samples: Row[] = []
const times = { direct: [] as number[], peers: [] as number[], local: [] as number[] }
{
  await using sandbox = await Sandbox.open()
  const publisher = await sandbox.machine('publisher')
  const { link } = await publisher.json<Shared>('share', rootfs, '--name', 'bench')
  for (let run = 1; run <= Number(runs); run++) {
    const direct = await bootDirectly(rootfs, dropKernelCaches)
    times.direct.push(direct)
    samples.push({ run, what: 'systemd-nspawn', 'ready ms': rounded(direct) })

    const reader = await sandbox.machine(`reader-${run}`)
    await reader.ok('daemon', 'start')
    await sleep(SETTLE_MS)
    const peers = await boot(reader, link)
    times.peers.push(peers.elapsedMs)
    samples.push({ run, what: 'over peers', ...peers.row })

    await reader.ok('pull', link)
    const local = await boot(reader, link)
    times.local.push(local.elapsedMs)
    samples.push({ run, what: 'again, all here', ...local.row })
    await reader.ok('daemon', 'stop')
    console.log(
      `${run}: direct ${rounded(direct)}, over peers ${rounded(peers.elapsedMs)}, ` +
        `again ${rounded(local.elapsedMs)} ms`
    )
  }
}

const direct = median(times.direct)
const bar = MOST_TIMES * direct + EXTRA_MS
const summary = (['direct', 'peers', 'local'] as const).map((what) => ({
  what,
  'median ms': rounded(median(times[what])),
  'times direct': rounded(median(times[what]) / direct, 2),
  'bar ms': what === 'peers' ? rounded(bar) : null,
  holds: what === 'peers' ? median(times.peers) <= bar : null
}))
report('boot', { samples, summary })
process.exitCode = median(times.peers) <= bar ? 0 : 1

/** Boots with cold kernel caches, notes what it took, and takes everything down again. */
async function boot(machine: Machine, link: string): Promise<Booted> {
  await dropKernelCaches()
  const started = performance.now()
  await machine.ok('boot', link, '-n', NAME, '-d', '--wait', 'ready')
  const elapsedMs = performance.now() - started
  const stats = await machine.json<Stats>('stats', NAME)
  const { current } = await machine.json<Inspected>('inspect', NAME)
  const { mountedMs, startedMs, readyMs } = current.timings
  await machine.ok('rm', '--force', NAME)
  await unmounted()
  return {
    elapsedMs,
    row: {
      'ready ms': rounded(elapsedMs),
      'commands start ms': rounded(elapsedMs - readyMs),
      'mounted ms': rounded(mountedMs),
      'PID 1 ms': rounded(startedMs - mountedMs),
      'systemd ms': rounded(readyMs - startedMs),
      'waited reads': stats.demandReads,
      'stalled ms': rounded(stats.stallMs),
      'on demand MB': rounded(stats.demandBytes / 1e6, 1),
      'ahead MB': rounded(stats.prefetchBytes / 1e6, 1),
      'of image %': rounded((100 * stats.fetchedBytes) / stats.imageBytes)
    }
  }
}

/** An image stays mounted a moment after its last use; the next boot shall mount it again. */
async function unmounted(): Promise<void> {
  const mounts = (): string => readFileSync('/proc/self/mountinfo', 'utf8')
  while (mounts().includes('/mounts/')) await sleep(50)
}
