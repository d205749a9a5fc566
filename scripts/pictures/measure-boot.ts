import { setTimeout as sleep } from 'node:timers/promises'
import { dropKernelCaches } from '../../bench/cold-caches.ts'
import { WanNetwork } from '../../bench/wan/network.ts'
import { evenWire } from '../../bench/wan/star.ts'
import type { Shared } from '../../test/e2e/results.ts'

/** A boot as `stats --explain --json` tells of it, with the link that it was measured over. */
export interface MeasuredBoot {
  readonly date: string
  readonly mbit: number
  readonly rttMs: number
  readonly imageBytes: number
  readonly fetchedBytes: number
  readonly start: {
    readonly totalMs: number
    readonly parts: Readonly<Record<string, number>>
    readonly notAttributedMs: number
  }
}

const MBIT = 100
const RTT_MS = 50
const RUNS = 5
/** A new daemon needs this long to find its place in the DHT. */
const SETTLE_MS = 1_500

/**
 * Shares a root filesystem with its profile on one host, boots it by link on five new ones in turn, over
 * an emulated link, and returns the boot with the median time. Needs root.
 */
export async function measureBoot(rootfs: string): Promise<MeasuredBoot> {
  await using network = await WanNetwork.open(evenWire(10e9, 0))
  const shared = await network.publisher.json<Shared>(
    ...['share', rootfs, '--name', 'debian', '--profile']
  )
  await network.reshape(evenWire(MBIT * 1e6, RTT_MS))
  const boots: MeasuredBoot[] = []
  while (boots.length < RUNS) boots.push(await bootOnce(network, shared.link, boots.length))
  boots.sort((a, b) => a.start.totalMs - b.start.totalMs)
  return boots[Math.floor(RUNS / 2)]!
}

async function bootOnce(network: WanNetwork, link: string, run: number): Promise<MeasuredBoot> {
  const reader = network.newReader(`reader${run}`)
  await reader.ok('daemon', 'start')
  await sleep(SETTLE_MS)
  await dropKernelCaches()
  await reader.ok('boot', link, '-n', 'debian', '-d', '--wait', 'ready')
  const { imageBytes, fetchedBytes, start } = await reader.json<MeasuredBoot>(
    ...['stats', '--explain', 'debian']
  )
  await network.endReader(reader)
  const { totalMs, parts, notAttributedMs } = start
  return {
    date: new Date().toISOString(),
    mbit: MBIT,
    rttMs: RTT_MS,
    imageBytes,
    fetchedBytes,
    start: { totalMs, parts, notAttributedMs }
  }
}
