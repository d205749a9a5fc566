/**
 * What `share --update` costs where one file in a hundred changed, and where none did, against the
 * first publish: through the command and the daemon, on a copy of the tree. Each run has a daemon and a
 * DHT of its own, and several updates.
 *
 *   node build/bench/update.js ROOTFS [RUNS]
 */
import { execFileSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { withCleanup } from '../src/core/cleanup-stack.ts'
import { compressChunk } from '../src/image/chunk/compression.ts'
import { temporaryDirectory } from '../src/core/temporary-directory.ts'
import { CHUNK_BYTES } from '../src/image/tree/tree.ts'
import { filesListed } from '../test/e2e/files-listed.ts'
import type { Shared } from '../test/e2e/results.ts'
import { Sandbox, type Machine } from '../test/e2e/sandbox.ts'
import { report, type Row } from './report.ts'
import { median, rounded } from './statistics.ts'

/** The bars: bytes over the changed chunks', time over the first publish, bytes of no change. */
const MOST_BYTES = 1.15
const MOST_TIME = 1 / 5
const MOST_UNCHANGED_BYTES = 8 * 1024
const ONE_IN = 100
/** Updates after each first publish, by the same daemon: the first update finds its code cold. */
const UPDATES = 3
/** Files as young as this are read again: their clock may hide a change. */
const RACY_MS = 2_500

const [rootfs, runs = '3'] = process.argv.slice(2)
if (rootfs === undefined) {
  console.error('usage: node build/bench/update.js ROOTFS [RUNS]')
  process.exit(2)
}

const samples: Row[] = []
const times: number[] = []
const bytes: number[] = []
const quiet: number[] = []
await withCleanup(async (cleanup) => {
  const source = join(await temporaryDirectory(cleanup), 'source')
  execFileSync('cp', ['-a', rootfs, source])
  await sleep(RACY_MS)
  const files = regularFiles(source)
  let round = 0
  for (let run = 1; run <= Number(runs); run++) {
    // A sandbox of its own: other publishers would share these processors, and answer in its DHT.
    await using alone = await Sandbox.open()
    const machine = await alone.machine('publisher')
    await machine.ok('daemon', 'start')
    const first = await publish(machine, source)
    for (let update = 1; update <= UPDATES; update++) {
      // Another hundredth each time.
      round++
      const changed = files.filter((_, n) => n % ONE_IN === round % ONE_IN)
      const changedBytes = changeAll(changed)
      await sleep(RACY_MS)
      const second = await publish(machine, source, first.shared.link)
      const third = await publish(machine, source, first.shared.link)
      times.push(second.ms / first.ms)
      bytes.push(second.grown / changedBytes)
      quiet.push(third.grown)
      samples.push({
        run,
        update,
        'files changed': changed.length,
        'files read': second.shared.filesRead,
        'first ms': rounded(first.ms),
        'update ms': rounded(second.ms),
        'times first': rounded(second.ms / first.ms, 2),
        'changed chunks': changedBytes,
        'drive grew': second.grown,
        'times changed': rounded(second.grown / changedBytes, 3),
        'no change ms': rounded(third.ms),
        'no change grew': third.grown
      })
    }
  }
})
const holds =
  median(times) <= MOST_TIME && median(bytes) <= MOST_BYTES && median(quiet) <= MOST_UNCHANGED_BYTES
report('update', {
  samples,
  summary: [
    { what: 'time, times the first publish', median: rounded(median(times), 2), bar: MOST_TIME },
    {
      what: 'bytes, times the changed chunks',
      median: rounded(median(bytes), 3),
      bar: MOST_BYTES
    },
    { what: 'bytes where nothing changed', median: median(quiet), bar: MOST_UNCHANGED_BYTES }
  ]
})
process.exitCode = holds ? 0 : 1

interface Published {
  readonly ms: number
  readonly shared: Shared
  /** Bytes by which both logs of the drive grew. */
  readonly grown: number
}

async function publish(machine: Machine, source: string, update?: string): Promise<Published> {
  const before = update === undefined ? 0 : await driveBytes(machine)
  const started = performance.now()
  const shared = await machine.json<Shared>(
    ...['share', source],
    ...(update === undefined ? ['--name', 'bench'] : ['--update', update])
  )
  const ms = performance.now() - started
  return { ms, shared, grown: (await driveBytes(machine)) - before }
}

/** Size of both logs, once all is in them. */
async function driveBytes(machine: Machine): Promise<number> {
  const { storedBytes, entryBytes } = await filesListed(machine)
  return storedBytes + entryBytes
}

/** Puts a line before each file's content, which changes all of its chunks; returns their stored size. */
function changeAll(paths: readonly string[]): number {
  const chunks = new Map<string, number>()
  for (const path of paths) {
    const content = Buffer.concat([
      Buffer.from(`# ${randomBytes(8).toString('hex')}\n`),
      readFileSync(path)
    ])
    writeFileSync(path, content)
    for (let start = 0; start < content.length; start += CHUNK_BYTES) {
      const chunk = content.subarray(start, start + CHUNK_BYTES)
      const digest = createHash('sha256').update(chunk).digest('hex')
      chunks.set(digest, compressChunk(chunk).stored.length)
    }
  }
  return [...chunks.values()].reduce((sum, length) => sum + length, 0)
}

/** Paths of a directory's regular files, each inode once, in an order that stays. */
function regularFiles(directory: string): string[] {
  const found = execFileSync('find', [directory, '-type', 'f', '-printf', '%i %p\\0'], {
    encoding: 'utf8',
    maxBuffer: 1e9
  })
  const byInode = new Map<string, string>()
  for (const line of found.split('\0').toSorted()) {
    const [inode = '', ...path] = line.split(' ')
    if (inode !== '') byInode.set(inode, path.join(' '))
  }
  return [...byInode.values()].toSorted()
}
