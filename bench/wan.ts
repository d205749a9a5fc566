/**
 * Cold starts over an emulated wide-area network, against what else brings the same workload there.
 *
 *   node build/bench/wan.js ROOTFS [--workloads echo,…] [--rates 100] [--rtts 50]
 *     [--runs 10] [--rivals registry,…|none] [--whole] [--named] [--out wan]
 *
 * Rates in Mbit/s, round trips in ms. See bench/README.md.
 */
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import type { Shared, SharedProfiled } from '../test/e2e/results.ts'
import { report } from './report.ts'
import { missingFor, type Rival } from './rivals/rival.ts'
import { RIVALS } from './rivals/rivals.ts'
import { barChart } from './wan/bar-chart.ts'
import {
  floor,
  fromDirectory,
  lazily,
  locally,
  pulling,
  serverDirectory,
  wholly,
  type Contender,
  type Stage
} from './wan/contenders.ts'
import { WanNetwork } from './wan/network.ts'
import { shuffled } from '../src/core/shuffled.ts'
import { evenWire } from './wan/star.ts'
import { judge, summarize, type Measured, type Traced } from './wan/verdicts.ts'
import { treeOf } from './workloads/tree.ts'
import { workloadNamed, WORKLOADS, type Workload } from './workloads/workload.ts'

const PEER_PORT = 7777
/** While a publisher publishes and rivals are filled, the network is none. */
const FAST = evenWire(10e9, 0)

const { values } = parseArgs({
  allowPositionals: true,
  options: {
    workloads: { type: 'string', default: WORKLOADS.map(({ name }) => name).join(',') },
    rates: { type: 'string', default: '100' },
    rtts: { type: 'string', default: '50' },
    runs: { type: 'string', default: '10' },
    rivals: { type: 'string', default: Object.keys(RIVALS).join(',') },
    whole: { type: 'boolean', default: false },
    named: { type: 'boolean', default: false },
    out: { type: 'string', default: 'wan' }
  }
})
const numbers = (text: string): number[] => text.split(',').map(Number)
const links = numbers(values.rates).flatMap((mbit) =>
  numbers(values.rtts).map((rttMs) => ({ mbit, rttMs }))
)
const workloads = values.workloads.split(',').map(workloadNamed)
const rivals = await presentRivals(values.rivals)

/** What runs is ended in order, and what was measured is reported. A second signal kills. */
let stopping = false
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  // Not `once`: execa's own handler ends a process that seems to listen no longer.
  process.on(signal, () => {
    if (stopping) process.exit(130)
    stopping = true
    console.log('ending after this start')
  })
}

const samples: Measured[] = []
const traces: Traced[] = []
const failures: { workload: string; what: string; error: string }[] = []
for (const workload of workloads) {
  if (stopping) break
  await measure(workload)
  // After each, as all of them may take hours.
  tell()
}
process.exitCode = failures.length > 0 ? 1 : 0

function tell(): void {
  const summary = summarize(samples)
  report(values.out, {
    samples: samples.map((sample) => ({ ...sample })),
    failures,
    summary,
    bars: judge(samples, traces)
  })
  const chart = `bench/results/${values.out}.svg`
  writeFileSync(chart, barChart(summary))
  console.log(`drawn in ${chart}`)
}

async function presentRivals(list: string): Promise<Rival[]> {
  const present: Rival[] = []
  for (const name of list === 'none' ? [] : list.split(',')) {
    const rival = RIVALS[name]
    if (!rival) throw new RangeError(`no rival ${name}: ${Object.keys(RIVALS).join(', ')}, none`)
    const missing = await missingFor(rival)
    if (missing === undefined) present.push(rival)
    else console.log(missing)
  }
  return present
}

async function measure(workload: Workload): Promise<void> {
  const tree = await treeOf(workload)
  await using network = await WanNetwork.open(FAST)
  const { name, argv } = workload
  const { publisher } = network
  const listen = `${network.star.host('publisher').address}:${PEER_PORT}`
  if (values.named) await publisher.ok('daemon', 'start', '--listen', listen)
  // Recorded on the publisher's host; a network of its own is all that the container has there.
  const recorded = ['--profile', ...(argv.length > 0 ? ['--', ...argv] : [])]
  const shared = await publisher.json<SharedProfiled>('share', tree, '--name', name, ...recorded)
  const plain = await publisher.json<Shared>('share', tree, '--name', `${name}-plain`)
  const stage = { network, workload, tree, link: unnamed(shared.link) }
  const named = { ...stage, link: shared.link }
  const tracedBytes = shared.profile.storedBytes
  await withRivals(stage, rivals, async (served) => {
    for (const { mbit, rttMs } of links) {
      await network.reshape(evenWire(mbit * 1e6, rttMs))
      traces.push({ workload: name, mbit, rttMs, tracedBytes })
      const own = [
        lazily(stage),
        lazily({ ...stage, link: unnamed(plain.link) }, 'no profile'),
        ...(values.named ? [lazily(named, 'named peer')] : []),
        locally(stage),
        floor(stage, 'T_floor', tracedBytes)
      ]
      const whole = [
        wholly(stage),
        ...(values.named ? [pulling(named, 'pull, named peer')] : []),
        floor(stage, 'T_stream', shared.storedBytes)
      ]
      const where = { workload: name, mbit, rttMs }
      await take([...own, ...(values.whole ? whole : [])], served, where)
    }
  })
}

/** A link whose publisher must be looked for. */
function unnamed(link: string): string {
  return link.replace(/\?.*/, '')
}

/**
 * Runs every contender as often as was asked for, in an order that differs each time; a rival that
 * failed, which takes it a minute and a half, not again.
 */
async function take(
  own: readonly Contender[],
  others: readonly Contender[],
  where: { workload: string; mbit: number; rttMs: number }
): Promise<void> {
  const present = new Set([...own, ...others])
  for (let run = 1; run <= Number(values.runs); run++) {
    for (const contender of shuffled([...present])) {
      if (stopping) return
      try {
        for (const [what, sample] of Object.entries(await contender.start())) {
          samples.push({ ...where, run, what, ...sample })
          console.log(JSON.stringify(samples.at(-1)))
        }
      } catch (error) {
        note(where.workload, contender.name, error)
        if (others.includes(contender)) present.delete(contender)
      }
    }
  }
}

/** Notes a failure; the rest goes on. */
function note(workload: string, what: string, error: unknown): undefined {
  const failure = { workload, what, error: String(error) }
  failures.push(failure)
  console.log(JSON.stringify(failure))
}

/** Serves the tree in every way at once, each from a directory of its own, while `use` runs. */
async function withRivals(
  stage: Stage,
  [first, ...rest]: readonly Rival[],
  use: (served: Contender[]) => Promise<void>
): Promise<void> {
  if (first === undefined) return use([])
  await using directory = await serverDirectory(stage.network)
  const publisher = stage.network.star.host('publisher')
  await using served = await first
    .serve(stage.tree, publisher, directory.path)
    .catch((error: unknown) => note(stage.workload.name, first.name, error))
  const contenders = served ? [fromDirectory(stage, first.name, served)] : []
  await withRivals(stage, rest, (others) => use([...contenders, ...others]))
}
