/**
 * Several readers that fetch one image at the same time from one publisher with a slow link.
 *
 *   node build/bench/crowd.js [--readers 12] [--megabytes 40] [--mbit 100] [--up 20] [--rtt 40] [--runs 1] [--simulate]
 *
 * Rates in Mbit/s: of each reader's link, and of the publisher's. See bench/README.md.
 */
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import type { Shared } from '../test/e2e/results.ts'
import type { Machine } from '../test/e2e/sandbox.ts'
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

const { values } = parseArgs({
  allowPositionals: true,
  options: {
    readers: { type: 'string', default: '12' },
    megabytes: { type: 'string', default: '40' },
    mbit: { type: 'string', default: '100' },
    up: { type: 'string', default: '20' },
    rtt: { type: 'string', default: '40' },
    runs: { type: 'string', default: '1' },
    simulate: { type: 'boolean', default: false }
  }
})
const readers = Number(values.readers)
const rtt = Number(values.rtt)

const samples: Row[] = []
if (values.simulate) {
  simulate()
  report('crowd-simulated', { samples })
} else {
  await measure()
  report('crowd', { samples })
}

async function measure(): Promise<void> {
  const source = mkdtempSync(join(tmpdir(), 'dat-crowd-'))
  try {
    mkdirSync(join(source, 'etc'))
    for (let n = 0; n < Number(values.megabytes); n++) {
      writeFileSync(join(source, 'etc', `${n}`), randomBytes(FILE_BYTES))
    }
    const names = Array.from({ length: readers }, (_, n) => `r${n + 1}`)
    await using network = await WanNetwork.open(evenWire(10e9, 0), names)
    const shared = await network.publisher.json<Shared>('share', source, '-n', 'x')
    for (let run = 1; run <= Number(values.runs); run++) {
      for (const count of [1, readers]) {
        await network.reshape(evenWire(10e9, 0))
        const machines: Machine[] = []
        for (const name of names.slice(0, count)) {
          const machine = network.newMachine(name)
          machines.push(machine)
          await machine.ok('daemon', 'start')
        }
        await network.reshape(evenWire(Number(values.mbit) * 1e6, rtt))
        await network.reshapeEach({ publisher: evenWire(Number(values.up) * 1e6, rtt) })
        const publisher = network.star.host('publisher')
        const before = publisher.deviceBytes().sent
        const times = await Promise.all(
          machines.map(async (machine, n) => {
            await sleep((JOIN_MS * n) / count)
            const started = performance.now()
            await machine.ok('pull', shared.link)
            return performance.now() - started
          })
        )
        const sent = publisher.deviceBytes().sent - before
        const states = await Promise.all(
          machines.map((machine) => machine.json<Status>('daemon', 'status'))
        )
        const owner = await network.publisher.json<Status>('daemon', 'status')
        samples.push({
          run,
          readers: count,
          'median ms': rounded(median(times)),
          'last ms': rounded(Math.max(...times)),
          'publisher sent, images': rounded(sent / shared.storedBytes, 2),
          'peers, median': median(states.map(({ connections }) => connections)),
          'processor s, all readers': rounded(
            states.reduce((sum, { pid }) => sum + processorSeconds(pid), 0),
            1
          ),
          'processor s, publisher so far': rounded(processorSeconds(owner.pid), 1),
          'processor s, network so far': rounded((await network.star.counters()).cpuMs / 1_000, 1)
        })
        console.log(JSON.stringify(samples.at(-1)))
        for (const machine of machines) {
          await machine.shutDown()
          rmSync(machine.home, { recursive: true })
        }
      }
    }
  } finally {
    rmSync(source, { recursive: true })
  }
}

/** The same over simulated links, alone and together: any number of readers. */
function simulate(): void {
  const alone = simulateOne(1)
  const together = simulateOne(readers)
  samples.push(alone, together)
}

function simulateOne(count: number): Row {
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
    dials: ENOUGH_PEERS,
    mostConnections: MOST_CONNECTIONS,
    seed: 1
  })
  return {
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

interface Status {
  readonly connections: number
  readonly pid: number
}

/** What a process has used so far. Source: proc_pid_stat(5); a tick is 10 ms. */
function processorSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) / 100
}
