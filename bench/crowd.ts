/**
 * Several readers that fetch one image at the same time from one publisher with a slow link.
 *
 *   node build/bench/crowd.js [--readers 12] [--megabytes 40] [--mbit 100] [--up 20] [--rtt 40] [--runs 1] [--ways pull,boot,curl,transmission] [--simulate]
 *   node build/bench/crowd.js --joining [--readers 50]
 *
 * Rates in Mbit/s: of each reader's link, and of the publisher's. See bench/README.md.
 */
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { CleanupStack } from '../src/core/cleanup-stack.ts'
import { tinyRootfs } from '../test/e2e/tiny-rootfs.ts'
import { crowdChart } from './crowd/crowd-chart.ts'
import { measureJoining, tinyContent } from './crowd/joining.ts'
import { CURL } from './crowd/curl.ts'
import { BOOT, PULL } from './crowd/own-ways.ts'
import { TRANSMISSION } from './crowd/transmission.ts'
import type { CrowdReader, CrowdSource, CrowdWay } from './crowd/way.ts'
import { missingFor } from './rivals/rival.ts'
import { simulateCrowd } from './crowd/simulated-crowd.ts'
import { report, type Row } from './report.ts'
import { median, rounded } from './statistics.ts'
import { ENOUGH_PEERS } from '../src/p2p/crowd/introductions.ts'
import { WanNetwork } from './wan/network.ts'
import { evenWire } from './wan/star.ts'

const FILE_BYTES = 1e6
/** What a block of incompressible content has. */
const BLOCK_BYTES = 62_000
/** Connections that hyperswarm and the daemon give one peer at most. */
const MOST_CONNECTIONS = 64
/** All readers begin within this time. */
const JOIN_MS = 1_000
const JOINING_MS = 60_000
const WAYS: readonly CrowdWay[] = [PULL, BOOT, CURL, TRANSMISSION]
/** While readers are set up, the network is none. */
const FAST = evenWire(10e9, 0)
const CHART = 'bench/results/crowd.svg'

const { values } = parseArgs({
  allowPositionals: true,
  options: {
    readers: { type: 'string', default: '12' },
    megabytes: { type: 'string', default: '40' },
    mbit: { type: 'string', default: '100' },
    up: { type: 'string', default: '20' },
    rtt: { type: 'string', default: '40' },
    runs: { type: 'string', default: '1' },
    ways: { type: 'string', default: 'pull' },
    simulate: { type: 'boolean', default: false },
    joining: { type: 'boolean', default: false }
  }
})
const readers = Number(values.readers)
const rtt = Number(values.rtt)

const samples: Row[] = []
if (values.simulate) {
  simulate()
  report('crowd-simulated', { samples })
} else if (values.joining) {
  await joining()
  report('crowd-joining', { samples })
} else {
  const ways = await presentWays(values.ways)
  const source = mkdtempSync(join(tmpdir(), 'dat-crowd-'))
  try {
    tinyRootfs(source)
    mkdirSync(join(source, 'data'))
    for (let n = 0; n < Number(values.megabytes); n++) {
      writeFileSync(join(source, 'data', `${n}`), randomBytes(FILE_BYTES))
    }
    for (const way of ways) await measure(way, source)
  } finally {
    rmSync(source, { recursive: true })
  }
  report('crowd', { samples })
  writeFileSync(CHART, crowdChart(samples))
  console.log(`drawn in ${CHART}`)
}

/** Readers that come one after the other, within a minute. */
async function joining(): Promise<void> {
  const source = mkdtempSync(join(tmpdir(), 'dat-crowd-'))
  try {
    tinyRootfs(source)
    tinyContent(source)
    const names = Array.from({ length: readers }, (_, n) => `r${n + 1}`)
    await using network = await WanNetwork.open(FAST, names)
    await network.reshape(evenWire(Number(values.mbit) * 1e6, rtt))
    samples.push(...(await measureJoining(network, source, { names, overMs: JOINING_MS })))
  } finally {
    rmSync(source, { recursive: true })
  }
}

async function presentWays(list: string): Promise<CrowdWay[]> {
  const present: CrowdWay[] = []
  for (const name of list.split(',')) {
    const way = WAYS.find((way) => way.name === name)
    if (!way) throw new RangeError(`no way ${name}: ${WAYS.map(({ name }) => name).join(', ')}`)
    const missing = await missingFor(way)
    if (missing === undefined) present.push(way)
    else console.log(missing)
  }
  return present
}

/** One reader alone, and then all of them, as often as asked for. */
async function measure(way: CrowdWay, source: string): Promise<void> {
  const names = Array.from({ length: readers }, (_, n) => `r${n + 1}`)
  await using network = await WanNetwork.open(FAST, names)
  await using served = await way.serve(network, source)
  for (let run = 1; run <= Number(values.runs); run++) {
    let alone: number | undefined
    for (const count of [1, readers]) {
      const row = await measureOne(way.name, network, served, names.slice(0, count))
      const last = Number(row['last ms'])
      alone ??= last
      samples.push({ ...row, run, 'times a lone one': rounded(last / alone, 2) })
      console.log(JSON.stringify(samples.at(-1)))
    }
  }
}

async function measureOne(
  way: string,
  network: WanNetwork,
  served: CrowdSource,
  names: readonly string[]
): Promise<Row> {
  await network.reshape(FAST)
  await using all = new CleanupStack()
  const crowd: CrowdReader[] = []
  for (const name of names) {
    const reader = await served.reader(name)
    all.hold(reader)
    crowd.push(reader)
  }
  await network.reshape(evenWire(Number(values.mbit) * 1e6, rtt))
  await network.reshapeEach({ publisher: evenWire(Number(values.up) * 1e6, rtt) })
  const publisher = network.star.host('publisher')
  const sentBefore = publisher.deviceBytes().sent
  const droppedBefore = await droppedOfPublisher(network)
  const times = await Promise.all(
    crowd.map(async (reader, n) => {
      await sleep((JOIN_MS * n) / crowd.length)
      const started = performance.now()
      await reader.take()
      return performance.now() - started
    })
  )
  const sent = publisher.deviceBytes().sent - sentBefore
  const counts = await Promise.all(crowd.map((reader) => reader.counts()))
  const dropped = (await droppedOfPublisher(network)) - droppedBefore
  return {
    way,
    readers: names.length,
    'median ms': rounded(median(times)),
    'last ms': rounded(Math.max(...times)),
    'publisher sent, copies': rounded(sent / served.bytes, 2),
    'of its packets dropped': dropped,
    'peers, median': median(counts.map(({ peers = 0 }) => peers)),
    'processor s, all readers': rounded(
      counts.reduce((sum, { cpuSeconds = 0 }) => sum + cpuSeconds, 0),
      1
    ),
    ...(await served.costs())
  }
}

/** Packets that found the publisher's queue full. */
async function droppedOfPublisher({ star }: WanNetwork): Promise<number> {
  const { hosts } = await star.counters()
  return hosts[star.hosts.indexOf(star.host('publisher'))]?.up.dropped ?? 0
}

/** The same over simulated links, alone and together: any number of readers. */
function simulate(): void {
  for (const way of values.ways.split(',')) {
    if (way !== 'pull' && way !== 'boot')
      throw new RangeError(`${way} is not simulated: pull, boot`)
    const alone = simulateOne(way, 1)
    const together = simulateOne(way, readers)
    const times = rounded(Number(together['last ms']) / Number(alone['last ms']), 2)
    samples.push({ ...alone, 'times a lone one': 1 }, { ...together, 'times a lone one': times })
  }
}

function simulateOne(way: 'pull' | 'boot', count: number): Row {
  const started = performance.now()
  const blocks = Math.ceil((Number(values.megabytes) * 1e6) / BLOCK_BYTES)
  const result = simulateCrowd({
    readers: count,
    blocks,
    blockBytes: BLOCK_BYTES,
    uploadBits: Number(values.up) * 1e6,
    readerBits: Number(values.mbit) * 1e6,
    roundTripMs: rtt,
    joinMs: JOIN_MS,
    way,
    dials: ENOUGH_PEERS,
    mostConnections: MOST_CONNECTIONS,
    seed: 1
  })
  return {
    way,
    readers: count,
    'median ms': rounded(median(result.doneMs)),
    'last ms': rounded(result.doneMs.reduce((a, b) => Math.max(a, b), 0)),
    'publisher sent, images': rounded(result.publisherBlocks / blocks, 2),
    'connections, mean': rounded(result.connections.mean, 1),
    'connections, most': result.connections.most,
    'notices a reader': rounded(result.noticesPerReader),
    'events, millions': rounded(result.events / 1e6, 2),
    'computed in s': rounded((performance.now() - started) / 1_000, 1)
  }
}
