/**
 * What metadata and repeated reads cost on a mounted image, against the same tree on the local disk:
 * the same programs, in turns, with warm kernel caches. Some are judged by the time that they take, some
 * by their speed.
 *
 *   node build/bench/metadata.js ROOTFS [ROUNDS]
 */
import { execFileSync } from 'node:child_process'
import { mkdir, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { quoteForShell } from '../src/core/host/shell-quote.ts'
import type { Shared } from '../test/e2e/results.ts'
import { Sandbox } from '../test/e2e/sandbox.ts'
import { report, type Row } from './report.ts'
import { median, rounded } from './statistics.ts'

/** The bars for the EROFS mode: so many times the time of the local directory, or of its speed. */
const MOST_TIMES = 1.1
const LEAST_SPEED = 0.95
const WARM_UP_ROUNDS = 3

/** Each runs with the directory as its working directory; the shell's own start is in all of them. */
const TASKS = {
  walk: 'find . > /dev/null',
  'walk and stat': "find . -printf '%s %m %U %T@ %l\\n' > /dev/null",
  'open and 4 KiB': 'find . -type f -print0 | xargs -0 head -qc 4096 > /dev/null',
  'read all': 'find . -type f -print0 | xargs -0 cat > /dev/null',
  sequential: 'for n in 1 2 3 4 5 6 7 8; do cat LARGEST > /dev/null; done',
  random: `perl -e '${randomReads(400_000)}' LARGEST`,
  tar: 'tar -cf - . | cat > /dev/null'
} as const
type Task = keyof typeof TASKS
/** Further ones of a container's life, whose bar is a speed. */
const BY_SPEED: ReadonlySet<Task> = new Set(['open and 4 KiB', 'sequential', 'random', 'tar'])

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
  const largest = execFileSync(
    'sh',
    ['-c', `find . -type f -printf '%s %p\\n' | sort -rn | head -n 1 | cut -d' ' -f2-`],
    { cwd: rootfs, encoding: 'utf8' }
  ).trim()
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
      const times = await measure(TASKS[task].replaceAll('LARGEST', quoteForShell(largest)), places)
      const local = median(times['local'] ?? [])
      for (const [place, samples] of Object.entries(times)) {
        const ratio = median(samples) / local
        const isBar = place === 'erofs'
        const most = BY_SPEED.has(task) ? 1 / LEAST_SPEED : MOST_TIMES
        if (isBar && ratio > most) holds = false
        results.push({
          task,
          place,
          'median ms': rounded(median(samples), 1),
          'fastest ms': rounded(Math.min(...samples), 1),
          'slowest ms': rounded(Math.max(...samples), 1),
          'times local': rounded(ratio, 2),
          'of its speed': rounded(1 / ratio, 2),
          holds: isBar ? ratio <= most : null
        })
      }
    }
  } finally {
    for (const mode of ['erofs', 'fuse']) await machine.run('umount', places[mode] ?? '')
  }
}
const { type } = await statfs(rootfs)
const files = {
  'file system of the local directory': `0x${type.toString(16)}`,
  bar: MOST_TIMES,
  'speed bar': LEAST_SPEED
}
report('metadata', { results, setting: [{ ...files, rounds: Number(rounds) }] })
process.exitCode = holds ? 0 : 1

/** A perl program that reads so many pages of the file that it is given, all over it, always the same. */
function randomReads(pages: number): string {
  return [
    'open(F, "<", $ARGV[0]) or die; srand(1); $n = int((-s F) / 4096);',
    `for (1 .. ${pages}) { sysseek(F, 4096 * int(rand($n)), 0); sysread(F, $b, 4096) or die }`
  ].join(' ')
}

/** Takes turns, so that whatever else the machine does hits all places alike. */
async function measure(
  script: string,
  places: Readonly<Record<string, string>>
): Promise<Record<string, number[]>> {
  const times: Record<string, number[]> = {}
  for (let round = -WARM_UP_ROUNDS; round < Number(rounds); round++) {
    // Who comes first changes with every round: a place shall not profit from the one before.
    const turns = Object.entries(places)
    for (let n = 0; n < Math.abs(round) % turns.length; n++) turns.push(...turns.splice(0, 1))
    for (const [place, directory] of turns) {
      const started = performance.now()
      await execa('sh', ['-c', script], { cwd: directory })
      const elapsedMs = performance.now() - started
      if (round >= 0) (times[place] ??= []).push(elapsedMs)
    }
  }
  return times
}
