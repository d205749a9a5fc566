/**
 * How many reads reach the mounter while a container does again what it has done before: all files of
 * the image read and listed, over and over. What the kernel drops from its page cache meanwhile must come
 * again: `pages dropped` is what it counts of that for all of the machine.
 *
 *   node build/bench/rerun.js ROOTFS [SECONDS]
 */
import { readFileSync } from 'node:fs'
import type { Shared, Stats } from '../test/e2e/results.ts'
import { Sandbox, type Machine } from '../test/e2e/sandbox.ts'
import { report, type Row } from './report.ts'

const PASS = 'find / -xdev -ls > /dev/null; find / -xdev -type f -exec cat {} + > /dev/null'

const [rootfs, seconds = '60'] = process.argv.slice(2)
if (rootfs === undefined) {
  console.error('usage: node build/bench/rerun.js ROOTFS [SECONDS]')
  process.exit(2)
}

const results: Row[] = []
{
  await using sandbox = await Sandbox.open()
  const machine = await sandbox.machine('machine')
  const { link } = await machine.json<Shared>('share', rootfs, '--name', 'bench')
  for (const mode of ['erofs', 'fuse']) {
    await machine.ok('boot', link, '-n', mode, '-d', '--mount', mode, '--', 'sleep', '1000000')
    await pass(machine, mode)
    const before = await reads(machine, mode)
    const droppedBefore = refaults()
    let passes = 0
    const until = performance.now() + Number(seconds) * 1000
    for (; performance.now() < until; passes++) await pass(machine, mode)
    const after = await reads(machine, mode)
    results.push({
      mode,
      'reads in the first pass': before,
      'further passes': passes,
      'reads in those': after - before,
      'pages dropped': refaults() - droppedBefore,
      holds: after === before
    })
    await machine.ok('rm', '--force', mode)
  }
}
report('rerun', { results })
process.exitCode = results.every(({ holds }) => holds) ? 0 : 1

async function pass(machine: Machine, name: string): Promise<void> {
  await machine.ok('exec', name, '--', 'sh', '-c', PASS)
}

/** Pages that the kernel had dropped and has read again since it started. @see mm/workingset.c of Linux */
function refaults(): number {
  return Number(/^workingset_refault_file (\d+)$/m.exec(readFileSync('/proc/vmstat', 'utf8'))?.[1])
}

async function reads(machine: Machine, name: string): Promise<number> {
  return (await machine.json<Stats>('stats', name)).kernelReads
}
