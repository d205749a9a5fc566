/**
 * How long who uses a mounted image waits when a daemon is killed, beyond the time until that is back: the reader's
 * own and the publisher's, in both mount modes, under reads, reads of a mapping and walks at once.
 *
 *   node build/bench/restart.js ROOTFS [--kills 50] [--mode erofs] [--whose reader]
 *
 * ROOTFS is not used: what is read must be new each time.
 */
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { restarts, sourceOfRounds, WAYS, type Stall } from '../test/e2e/restarts.ts'
import type { Shared } from '../test/e2e/results.ts'
import { Sandbox } from '../test/e2e/sandbox.ts'
import { report, type Row } from './report.ts'
import { median, percentile, rounded } from './statistics.ts'

/** The 99th percentile may be so much. */
const BAR_MS = 2_000

const { values } = parseArgs({
  allowPositionals: true,
  options: {
    kills: { type: 'string', default: '50' },
    mode: { type: 'string' },
    whose: { type: 'string' }
  }
})
const kills = Number(values.kills)
const samples: Row[] = []
const results: Row[] = []
for (const mode of ['erofs', 'fuse'] as const) {
  for (const whose of ['reader', 'publisher'] as const) {
    if ((values.mode ?? mode) !== mode || (values.whose ?? whose) !== whose) continue
    const found: Stall[] = []
    await using sandbox = await Sandbox.open()
    const source = sourceOfRounds(join(sandbox.directory, 'source'), kills)
    const publisher = await sandbox.machine('publisher')
    const reader = await sandbox.machine('reader')
    const shared = await publisher.json<Shared>('share', source)
    const options = { sandbox, publisher, reader, shared, source, rounds: kills, mode, whose }
    for await (const stalls of restarts(options)) {
      found.push(...stalls)
      for (const { failures, ...stall } of stalls) {
        samples.push({ mode, killed: whose, ...stall, failed: failures.join('; ') })
      }
      console.log(JSON.stringify(stalls))
    }
    for (const way of WAYS) results.push(summary({ mode, killed: whose, way }, found))
  }
}
report('restart', { samples, results })
process.exitCode = results.every(({ holds }) => holds) ? 0 : 1

function summary(what: { mode: string; killed: string; way: string }, all: readonly Stall[]): Row {
  const stalls = all.filter(({ way }) => way === what.way)
  const beyond = stalls.map(({ beyondMs }) => beyondMs)
  const failed = stalls.reduce((sum, { failures }) => sum + failures.length, 0)
  return {
    ...what,
    kills: stalls.length,
    uses: stalls.reduce((sum, { uses }) => sum + uses, 0),
    failed,
    'restart ms': rounded(median(stalls.map(({ restartMs }) => restartMs))),
    'p50 ms': rounded(median(beyond)),
    'p99 ms': rounded(percentile(beyond, 99)),
    'max ms': rounded(Math.max(...beyond)),
    holds: failed === 0 && percentile(beyond, 99) <= BAR_MS
  }
}
