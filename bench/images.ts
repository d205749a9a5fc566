/**
 * What a daemon with many images costs: its start, its memory, its processor time while nothing happens, and its stop. Once for
 * the machine that has published them, once for one that seeds them.
 *
 *   node build/bench/images.js ROOTFS [--images 200] [--idle 20]
 *
 * ROOTFS is not used: the images are small.
 */
import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import type { Listed, Shared } from '../test/e2e/results.ts'
import { Sandbox, type Machine } from '../test/e2e/sandbox.ts'
import { report, type Row } from './report.ts'
import { rounded } from './statistics.ts'

const BARS = { startMs: 3_000, megabytes: 250, idlePercent: 1, stopMs: 2_000 }
const CONTENT_BYTES = 64 * 1024
/** Look-ups and announcements of the start are over after this. */
const SETTLE_MS = 20_000
/** Ticks of `/proc/PID/stat` in a second. */
const TICKS = 100

const { values } = parseArgs({
  allowPositionals: true,
  options: {
    images: { type: 'string', default: '200' },
    idle: { type: 'string', default: '20' }
  }
})
const count = Number(values.images)
const idleMs = 1_000 * Number(values.idle)

await using sandbox = await Sandbox.open()
const publisher = await sandbox.machine('publisher')
const seeder = await sandbox.machine('seeder')
const links: string[] = []
for (let n = 0; n < count; n++) {
  const source = join(sandbox.directory, `source-${n}`)
  mkdirSync(source)
  writeFileSync(join(source, 'content'), randomBytes(CONTENT_BYTES))
  links.push((await publisher.json<Shared>('share', source, '--name', `image-${n}`)).link)
}
console.log(`${count} images are shared`)
for (const link of links) await seeder.ok('seed', link, '--wait')
console.log('and seeded')
const results: Row[] = []
// Each on its own: what one does when the other comes is not the other's.
await seeder.ok('daemon', 'stop')
results.push(await measured('publisher', publisher))
results.push(await measured('seeder', seeder))
await publisher.ok('daemon', 'stop')
await seeder.ok('daemon', 'stop')
results.push(await measured('seeder alone', seeder))
report('images', { results })
process.exitCode = results.every(({ holds }) => holds) ? 0 : 1

async function measured(who: string, machine: Machine): Promise<Row> {
  await machine.ok('daemon', 'stop')
  const began = performance.now()
  await machine.ok('daemon', 'start')
  const startMs = performance.now() - began
  const { pid } = await machine.json<{ pid: number }>('daemon', 'status')
  await sleep(SETTLE_MS)
  const [ticks, since] = [ticksOf(pid), performance.now()]
  await sleep(idleMs)
  const seconds = (performance.now() - since) / 1_000
  const idlePercent = (100 * (ticksOf(pid) - ticks)) / TICKS / seconds
  const megabytes = residentBytes(pid) / 1e6
  const listed = await machine.json<Listed[]>('images')
  const ending = performance.now()
  await machine.ok('daemon', 'stop')
  const stopMs = performance.now() - ending
  await machine.ok('daemon', 'start')
  return {
    daemon: who,
    images: listed.filter(({ complete }) => complete).length,
    'start ms': rounded(startMs),
    'RSS MB': rounded(megabytes),
    'idle % of a core': Math.round(100 * idlePercent) / 100,
    'stop ms': rounded(stopMs),
    holds:
      listed.length === count &&
      startMs < BARS.startMs &&
      megabytes < BARS.megabytes &&
      idlePercent < BARS.idlePercent &&
      stopMs < BARS.stopMs
  }
}

/** Processor time of a process so far, in ticks: proc_pid_stat(5). */
function ticksOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return Number(fields[11]) + Number(fields[12])
}

function residentBytes(pid: number): number {
  const [, kilobytes] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
  return 1024 * Number(kilobytes)
}
