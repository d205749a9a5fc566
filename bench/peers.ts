/**
 * What further peers are worth, and what a slow one costs: cold starts and pulls of one image from one
 * peer, from two alike, and from two of which one is slow.
 *
 *   node build/bench/peers.js ROOTFS [--workload python3] [--runs 5] [--mbit 25] [--rtt 50]
 *     [--slow-mbit 1] [--slow-rtt 600]
 *
 * Rates of each peer's link in Mbit/s; the reader's is four times that. See bench/README.md.
 */
import { parseArgs } from 'node:util'
import type { SharedProfiled } from '../test/e2e/results.ts'
import { report, type Row } from './report.ts'
import { median, rounded } from './statistics.ts'
import { lazily, pulling, type Sample } from './wan/contenders.ts'
import { WanNetwork } from './wan/network.ts'
import { shuffled } from '../src/core/shuffled.ts'
import { evenWire, type Wire } from './wan/star.ts'
import { treeOf } from './workloads/tree.ts'
import { workloadNamed } from './workloads/workload.ts'

const READER_TIMES = 4
const FAST = evenWire(10e9, 0)

const { values } = parseArgs({
  allowPositionals: true,
  options: {
    workload: { type: 'string', default: 'python3' },
    runs: { type: 'string', default: '5' },
    mbit: { type: 'string', default: '25' },
    rtt: { type: 'string', default: '50' },
    'slow-mbit': { type: 'string', default: '1' },
    'slow-rtt': { type: 'string', default: '600' }
  }
})
const bits = Number(values.mbit) * 1e6
const usual = evenWire(bits, Number(values.rtt))
const slow = evenWire(Number(values['slow-mbit']) * 1e6, Number(values['slow-rtt']))

/** The links of both peers; without one, that peer is not there. */
const SETTINGS: readonly { name: string; publisher: Wire; mirror?: Wire }[] = [
  { name: 'one peer', publisher: usual },
  { name: 'two peers', publisher: usual, mirror: usual },
  { name: 'one peer and a slow one', publisher: usual, mirror: slow },
  { name: 'a slow peer', publisher: slow }
]

const samples: (Sample & { setting: string; what: string; run: number })[] = []
const workload = workloadNamed(values.workload)
const tree = await treeOf(workload)
let storedBytes = 0
{
  await using network = await WanNetwork.open(FAST, ['mirror'])
  const recorded = ['--profile', ...(workload.argv.length > 0 ? ['--', ...workload.argv] : [])]
  const shared = await network.publisher.json<SharedProfiled>('share', tree, '-n', 'x', ...recorded)
  ;({ storedBytes } = shared)
  const mirror = network.newMachine('mirror')
  await mirror.ok('mirror', shared.mirrorLink, '--wait')
  const stage = { network, workload, tree, link: shared.link }
  const contenders = [lazily(stage), pulling(stage)]
  for (let run = 1; run <= Number(values.runs); run++) {
    for (const setting of shuffled(SETTINGS)) {
      await network.reshapeEach({
        reader: evenWire(READER_TIMES * bits, Number(values.rtt)),
        dht: usual,
        publisher: setting.publisher,
        mirror: setting.mirror ?? usual
      })
      await (setting.mirror ? mirror.ok('daemon', 'start') : mirror.run('daemon', 'stop'))
      for (const contender of shuffled(contenders)) {
        for (const [what, sample] of Object.entries(await contender.start())) {
          samples.push({ setting: setting.name, what, run, ...sample })
          console.log(JSON.stringify(samples.at(-1)))
        }
      }
    }
  }
}

const of = (setting: string, what: string, value: (sample: Sample) => number): number =>
  median(samples.filter((each) => each.setting === setting && each.what === what).map(value))
const summary: Row[] = ['dat-container', 'pull'].flatMap((what) =>
  SETTINGS.map(({ name }) => {
    const ms = of(name, what, ({ r2Ms }) => r2Ms)
    const received = of(name, what, ({ receivedBytes }) => receivedBytes)
    return {
      what,
      peers: name,
      'median ms': rounded(ms),
      'times one peer': rounded(ms / of('one peer', what, ({ r2Ms }) => r2Ms), 2),
      'received MB': rounded(received / 1e6, 2),
      'times stored': what === 'pull' ? rounded(received / storedBytes, 2) : null
    }
  })
)
report('peers', { samples: samples.map((sample) => ({ ...sample })), summary })
