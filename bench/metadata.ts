/**
 * What metadata and repeated reads cost on a mounted image, against the same tree on the local disk:
 * the same programs, in turns, with warm kernel caches.
 *
 *   node build/bench/metadata.js ROOTFS [ROUNDS]
 */
import { mkdir, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import type { Shared } from '../test/e2e/results.ts'
import { Sandbox } from '../test/e2e/sandbox.ts'
import { report, type Row } from './report.ts'
import { median, rounded } from './statistics.ts'

/** The bar for the EROFS mode: so many times the local directory. */
const MOST_TIMES = 1.1
const WARM_UP_ROUNDS = 3

/** Each runs with the directory as its working directory; the shell's own start is in all of them. */
const TASKS = {
  find: 'find . > /dev/null',
  'find and stat': "find . -printf '%s %m %U %T@ %l\\n' > /dev/null",
  'read all': 'find . -type f -print0 | xargs -0 cat > /dev/null'
} as const
type Task = keyof typeof TASKS

const [rootfs, rounds = '11'] = process.argv.slice(2)
if (rootfs === undefined) {
  console.error('usage: node build/bench/metadata.js ROOTFS [ROUNDS]')
  process.exit(2)
}

const results: Row[] = []
let holds = true
{
  await using sandbox = await Sandbox.open()
  const machine = await sandbox.machine('machine')
  const { link } = await machine.json<Shared>('share', rootfs, '--name', 'bench')
  const places = { local: rootfs } as Record<string, string>
  for (const mode of ['erofs', 'fuse']) {
    const directory = join(sandbox.directory, mode)
    await mkdir(directory)
    await machine.ok('mount', link, directory, '--mount', mode)
    places[mode] = directory
  }
  try {
    for (const task of Object.keys(TASKS) as Task[]) {
      const times = await measure(task, places)
      const local = median(times['local'] ?? [])
      for (const [place, samples] of Object.entries(times)) {
        const ratio = median(samples) / local
        const isBar = place === 'erofs'
        if (isBar && ratio > MOST_TIMES) holds = false
        results.push({
          task,
          place,
          'median ms': rounded(median(samples), 1),
          'fastest ms': rounded(Math.min(...samples), 1),
          'slowest ms': rounded(Math.max(...samples), 1),
          'times local': rounded(ratio, 2),
          holds: isBar ? ratio <= MOST_TIMES : null
        })
      }
    }
  } finally {
    for (const mode of ['erofs', 'fuse']) await machine.run('umount', places[mode] ?? '')
  }
}
const { type } = await statfs(rootfs)
const files = { 'file system of the local directory': `0x${type.toString(16)}`, bar: MOST_TIMES }
report('metadata', { results, setting: [{ ...files, rounds: Number(rounds) }] })
process.exitCode = holds ? 0 : 1

/** Takes turns, so that whatever else the machine does hits all places alike. */
async function measure(
  task: Task,
  places: Readonly<Record<string, string>>
): Promise<Record<string, number[]>> {
  const times: Record<string, number[]> = {}
  for (let round = -WARM_UP_ROUNDS; round < Number(rounds); round++) {
    // Who comes first changes with every round: a place shall not profit from the one before.
    const turns = Object.entries(places)
    for (let n = 0; n < Math.abs(round) % turns.length; n++) turns.push(...turns.splice(0, 1))
    for (const [place, directory] of turns) {
      const started = performance.now()
      await execa('sh', ['-c', TASKS[task]], { cwd: directory })
      const elapsedMs = performance.now() - started
      if (round >= 0) (times[place] ??= []).push(elapsedMs)
    }
  }
  return times
}
