/**
 * How fast a directory is published: with a sink that throws blocks away, and end to end through the
 * command and the daemon, against `tar | zstd -3 -T2`, in turns; and how much memory that takes.
 *
 *   node build/bench/publish.js ROOTFS [RUNS] [MEBIBYTES]
 *
 * With MEBIBYTES, so much is made of the files of /usr first; otherwise ROOTFS itself is published.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { withCleanup } from '../src/core/cleanup-stack.ts'
import { openDirectory } from '../src/image/source/directory-source.ts'
import { writeVersion } from '../src/image/publish/write-version.ts'
import { temporaryDirectory } from '../src/core/temporary-directory.ts'
import { filesListed } from '../test/e2e/files-listed.ts'
import type { Shared } from '../test/e2e/results.ts'
import { Sandbox, type Machine } from '../test/e2e/sandbox.ts'
import { copyWithVariation } from './mixed-data.ts'
import { report, type Row } from './report.ts'
import { median, rounded } from './statistics.ts'

/** The bars: throughput over that of tar and zstd, and peak memory of each process. */
const LEAST_TIMES = 0.5
const MOST_MEGABYTES = 350
/** Prints how long its output is; written nowhere. */
const TAR = 'tar -C "$1" -cf - . | zstd -q -3 -T2 | wc -c'

const [rootfs, runs = '3', mebibytes] = process.argv.slice(2)
if (rootfs === undefined) {
  console.error('usage: node build/bench/publish.js ROOTFS [RUNS] [MEBIBYTES]')
  process.exit(2)
}

const samples: Row[] = []
const ratios = { endToEnd: [] as number[], discarding: [] as number[] }
const peaks = { command: [] as number[], daemon: [] as number[] }
await withCleanup(async (cleanup) => {
  const source =
    mebibytes === undefined ? rootfs : join(await temporaryDirectory(cleanup), 'source')
  if (mebibytes !== undefined) {
    mkdirSync(source)
    copyWithVariation('/usr', source, Number(mebibytes) * 1024 * 1024)
  }
  for (let run = 1; run <= Number(runs); run++) {
    const tarMs = timed(() => execFileSync('sh', ['-c', TAR, 'sh', source]))
    const discarding = await publishToNowhere(source)
    // A sandbox of its own: other publishers would share these processors, and answer in its DHT.
    await using alone = await Sandbox.open()
    const machine = await alone.machine('publisher')
    const published = await publish(machine, source)
    ratios.discarding.push(tarMs / discarding.ms)
    ratios.endToEnd.push(tarMs / published.ms)
    peaks.command.push(published.commandMegabytes)
    peaks.daemon.push(published.daemonMegabytes)
    const { bytes, storedBytes, files } = published.shared
    samples.push({
      run,
      files,
      MB: rounded(bytes / 1e6),
      'stored MB': rounded(storedBytes / 1e6),
      'tar | zstd ms': rounded(tarMs),
      'discarding ms': rounded(discarding.ms),
      'end to end ms': rounded(published.ms),
      'listed ms': rounded(published.listedMs),
      'MB a second': rounded(bytes / 1e3 / published.ms),
      'times tar | zstd': rounded(tarMs / published.ms, 2),
      'command peak MB': rounded(published.commandMegabytes),
      'daemon peak MB': rounded(published.daemonMegabytes)
    })
  }
})

const speed = median(ratios.endToEnd)
const command = median(peaks.command)
const daemon = median(peaks.daemon)
const name = mebibytes === undefined ? 'publish' : `publish-${mebibytes}`
report(name, {
  samples,
  summary: [
    { what: 'end to end, times tar | zstd', median: rounded(speed, 2), bar: LEAST_TIMES },
    {
      what: 'discarding, times tar | zstd',
      median: rounded(median(ratios.discarding), 2),
      bar: null
    },
    { what: 'peak of the command, MB', median: rounded(command), bar: MOST_MEGABYTES },
    { what: 'peak of the daemon, MB', median: rounded(daemon), bar: MOST_MEGABYTES }
  ]
})
const holds = speed >= LEAST_TIMES && command <= MOST_MEGABYTES && daemon <= MOST_MEGABYTES
process.exitCode = holds ? 0 : 1

async function publishToNowhere(path: string): Promise<{ ms: number }> {
  let blocks = 0
  const sink = {
    append: async (more: readonly Uint8Array[]): Promise<number> => {
      blocks += more.length
      return blocks - more.length
    }
  }
  const started = performance.now()
  await writeVersion(await openDirectory(path), sink, { name: 'bench' })
  return { ms: performance.now() - started }
}

interface Published {
  readonly ms: number
  /** Until the drive listed its files, which nobody waits for. */
  readonly listedMs: number
  readonly shared: Shared
  readonly commandMegabytes: number
  readonly daemonMegabytes: number
}

async function publish(machine: Machine, path: string): Promise<Published> {
  await machine.ok('daemon', 'start')
  const { pid } = await machine.json<{ pid: number }>('daemon', 'status')
  const started = performance.now()
  const sharing = machine.start(['--json', 'share', path, '--name', 'bench'])
  let commandMegabytes = 0
  const watch = setInterval(() => {
    commandMegabytes = Math.max(commandMegabytes, peakMegabytes(sharing.pid ?? 0))
  }, 100)
  const ran = await sharing
  clearInterval(watch)
  const ms = performance.now() - started
  const shared = JSON.parse(String(ran.stdout)) as Shared
  await filesListed(machine)
  const listedMs = performance.now() - started
  const daemonMegabytes = peakMegabytes(pid)
  return { ms, listedMs, shared, commandMegabytes, daemonMegabytes }
}

/** The most memory that a process has had, as the kernel counts it; 0 for one that is gone. */
function peakMegabytes(pid: number): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    return (Number(/^VmHWM:\s*(\d+)/m.exec(status)?.[1] ?? 0) * 1024) / 1e6
  } catch {
    return 0
  }
}

function timed(work: () => unknown): number {
  const started = performance.now()
  work()
  return performance.now() - started
}
