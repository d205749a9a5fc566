import type { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Machine } from '../../test/e2e/sandbox.ts'
import type { Stats } from '../../test/e2e/results.ts'
import { dropKernelCaches } from '../cold-caches.ts'
import type { Workload } from '../workloads/workload.ts'
import { nowMs } from './clock.ts'
import type { WanNetwork } from './network.ts'
import { bytesBetween, type CountedBytes, type DeviceBytes } from './star.ts'
import { markerIn, probe, type Probe } from './readiness-watch.ts'

const NAME = 'wan'
/** A daemon that has just been started is left to find its place in the DHT. */
const SETTLE_MS = 1_500
const READY_TIMEOUT_MS = 300_000

/** What one cold start by link took. Milliseconds from the command, bytes until ready. */
export interface LazyRun {
  /** The image is mounted. */
  readonly r0Ms: number
  /** PID 1 of the container runs; of one that boots systemd, start-up has ended. */
  readonly r1Ms: number
  /** The workload does what it is for, asked from outside. */
  readonly r2Ms: number
  /** On the reader's interface, in both directions, by then. */
  readonly receivedBytes: number
  readonly sentBytes: number
  /** Stored bytes of the image's blocks that were fetched by then. */
  readonly fetchedBytes: number
  readonly demandReads: number
  readonly stallMs: number
}

interface Inspected {
  readonly current: {
    /** When the image had been mounted. */
    readonly startedAt: string
    readonly timings: { mountedMs?: number; startedMs?: number; readyMs?: number }
  }
}

/** Milliseconds until all of an image was here, and bytes on the reader's interface by then. */
type PullRun = { readonly r2Ms: number } & CountedBytes

/** What one reader took that fetched all of an image first. */
export interface WholeRun {
  readonly pull: PullRun
  /** Bytes and the clock since before the pull. */
  readonly booted: LazyRun
  /** Started again, with caches dropped and no network. */
  readonly offline: LazyRun
}

/** A reader that has never seen the image, with a daemon that runs, starts a workload by its link. */
export async function runLazily(
  network: WanNetwork,
  workload: Workload,
  link: string
): Promise<LazyRun> {
  return withReader(network, async (reader) => {
    await using probing = await probe(network.reader, workload.ready)
    await dropKernelCaches()
    return await timed(network, reader, workload, ['boot', link], begun(network), probing)
  })
}

/** A reader that has never seen the image fetches all of it, starts it, and later starts it once more. */
export async function runWhole(
  network: WanNetwork,
  workload: Workload,
  link: string
): Promise<WholeRun> {
  return withReader(network, async (reader) => {
    const { pull, booted } = await pulledAndBooted(network, reader, workload, link)
    await network.unmounted(reader)
    await using probing = await probe(network.reader, workload.ready)
    await dropKernelCaches()
    const command = ['boot', link, '--offline']
    const offline = await timed(network, reader, workload, command, begun(network), probing)
    return { pull, booted, offline }
  })
}

async function pulledAndBooted(
  network: WanNetwork,
  reader: Machine,
  workload: Workload,
  link: string
): Promise<Omit<WholeRun, 'offline'>> {
  await using probing = await probe(network.reader, workload.ready)
  await dropKernelCaches()
  const begin = begun(network)
  const pull = await timedPull(network, reader, link, begin)
  const booted = await timed(network, reader, workload, ['boot', link], begin, probing)
  return { pull, booted }
}

/** A reader that has never seen the image fetches all of it. */
export function runPull(network: WanNetwork, link: string): Promise<PullRun> {
  return withReader(network, async (reader) => {
    await dropKernelCaches()
    return await timedPull(network, reader, link, begun(network))
  })
}

/** A machine that knows nothing, whose daemon has found its place in the DHT, and is gone afterwards. */
async function withReader<T>(
  network: WanNetwork,
  use: (reader: Machine) => Promise<T>
): Promise<T> {
  const reader = network.newReader(`r${Math.round(nowMs())}`)
  try {
    await reader.ok('daemon', 'start')
    await sleep(SETTLE_MS)
    const result = await use(reader)
    await network.endReader(reader)
    return result
  } catch (error) {
    // Why it failed matters more than whether it could be tidied up.
    await network.endReader(reader).catch(() => {})
    throw error
  }
}

/** Where the clock starts, and what the reader's interface has counted by then. */
interface Begun {
  readonly ms: number
  readonly date: number
  readonly bytes: DeviceBytes
}

function begun({ reader }: WanNetwork): Begun {
  return { ms: nowMs(), date: Date.now(), bytes: reader.deviceBytes() }
}

async function timedPull(
  { reader: host }: WanNetwork,
  reader: Machine,
  link: string,
  begin: Begun
): Promise<PullRun> {
  await reader.ok('pull', link)
  return { r2Ms: nowMs() - begin.ms, ...bytesBetween(begin.bytes, host.deviceBytes()) }
}

async function timed(
  { reader: host }: WanNetwork,
  reader: Machine,
  { argv, ready }: Workload,
  command: readonly string[],
  begin: Begun,
  probing: Probe | undefined
): Promise<LazyRun> {
  const detached = argv.length === 0
  const what = detached ? ['-d', '--wait', 'ready'] : ['--', ...argv]
  const booting = reader.start([...command, '-n', NAME, ...what], { buffer: false })
  let errors = ''
  booting.stderr?.on('data', (chunk) => (errors += String(chunk)))
  if (ready.by !== 'output') booting.stdout?.resume()
  const late = new AbortController()
  const timeout = sleep(READY_TIMEOUT_MS, undefined, { signal: late.signal }).catch(() => undefined)
  const ended = booting.then(({ exitCode }) => (detached && exitCode === 0 ? nowMs() : undefined))
  const marked =
    ready.by === 'output' ? markerIn(booting.stdout as Readable, ready.marker) : undefined
  const readyAt = await Promise.race([marked ?? probing?.answered ?? ended, ended, timeout])
  late.abort()
  const after = host.deviceBytes()
  if (readyAt === undefined) {
    booting.kill('SIGTERM')
    throw new Error(`not ready: ${errors}`)
  }
  const stats = await reader.json<Stats>('stats', NAME)
  const { startedAt, timings } = (await reader.json<Inspected>('inspect', NAME)).current
  await reader.ok('rm', '--force', NAME)
  await booting
  const { mountedMs = 0, startedMs = 0, readyMs = startedMs } = timings
  const r0Ms = Date.parse(startedAt) - begin.date
  return {
    r0Ms,
    r1Ms: r0Ms + readyMs - mountedMs,
    r2Ms: readyAt - begin.ms,
    ...bytesBetween(begin.bytes, after),
    fetchedBytes: stats.fetchedBytes,
    demandReads: stats.demandReads,
    stallMs: stats.stallMs
  }
}
