import type { Command } from 'commander'
import { START_PART_TEXTS, START_PARTS } from '../../../rpc/start-parts.ts'
import type { StartExplanation } from '../../../boot/lease/explain-start.ts'
import type { ContainerStats } from '../../../boot/containers/container-stats.ts'
import { eachOf } from '../../print/each-of.ts'
import { readGlobals, type Globals } from '../../parse/globals.ts'
import { waitingOf } from '../../print/image-health-text.ts'
import { printable } from '../../print/output.ts'
import { peersText } from '../../print/peers-text.ts'
import { table } from '../../print/table.ts'

interface StatsFlags {
  readonly explain?: boolean
}

export function addStats(program: Command): void {
  program
    .command('stats')
    .description('show what a running container uses, and how much of its image was fetched')
    .argument('<name...>', 'the containers; several make a JSON list')
    .option('--explain', 'show where the time until it was ready went')
    .addHelpText(
      'after',
      '\nExamples:\n  dat-container stats web --json\n  dat-container stats web --explain'
    )
    .action(async (names: string[], flags: StatsFlags, command: Command) => {
      await stats(names, flags, readGlobals(command))
    })
}

async function stats(
  names: readonly string[],
  { explain = false }: StatsFlags,
  { home, output }: Globals
): Promise<void> {
  const { default: prettyBytes } = await import('pretty-bytes')
  const { containerStats } = await import('../../../boot/containers/container-stats.ts')
  const found = await eachOf(names, output, (name) => containerStats({ home, name, explain }))
  const isOne = names.length === 1
  output.result(isOne ? found[0] : found, () =>
    found.flatMap((one, n) => [
      ...(isOne ? [] : [...(n === 0 ? [] : ['']), `${one.name}:`]),
      ...figures(one, prettyBytes),
      ...(one.start === undefined ? [] : ['', ...explained(one.start)])
    ])
  )
}

function figures(found: ContainerStats, prettyBytes: (bytes: number) => string): string[] {
  const bytes = (figure: number | null): string => (figure === null ? '-' : prettyBytes(figure))
  const share =
    found.localBytes === null || !found.imageBytes
      ? 100
      : (100 * found.localBytes) / found.imageBytes
  const fetched =
    found.localBytes === null
      ? [['fetched', 'unknown while the daemon is stopped: dat-container daemon start']]
      : [
          ['here', `${bytes(found.localBytes)} (${share.toFixed(0)} %)`],
          ['fetched', `${bytes(found.fetchedBytes)} since it was opened`],
          ['on demand', `${bytes(found.demandBytes)} in ${found.demandReads} reads that waited`],
          ['ahead', `${bytes(found.prefetchBytes)}${ORDERS[found.startOrder ?? 'none']}`],
          ['stalled', `${((found.stallMs ?? 0) / 1_000).toFixed(2)} s, summed over reads`]
        ]
  return table([
    ['processes', `${found.pids}, ${prettyBytes(found.rssBytes)} resident`],
    ['CPU', `${(found.cpuMs / 1_000).toFixed(1)} s in ${(found.uptimeMs / 1_000).toFixed(1)} s`],
    ['image', bytes(found.imageBytes)],
    ...fetched,
    ['read', `${found.kernelReads} times by the kernel, which then caches the content`],
    ['peers', [peersOf(found), ...waitingOf(found.waiting)].join(', ')]
  ])
}

function peersOf({ peers, droppedPeers }: ContainerStats): string {
  return peers === null ? '-' : peersText(peers, droppedPeers ?? 0)
}

const ORDERS = {
  image: ', as its publisher recorded',
  home: ', as recorded here',
  guess: ', as guessed from names',
  none: ''
} as const

function explained(start: StartExplanation | null): string[] {
  if (start === null) return ['it is not ready yet']
  const { totalMs, parts, notAttributedMs, worst, cpu } = start
  const row = (what: string, ms: number): string[] => [
    what,
    `${ms.toFixed(0)} ms`.padStart(9),
    `${((100 * ms) / totalMs).toFixed(1)} %`.padStart(7)
  ]
  const rows = START_PARTS.map((part) => row(START_PART_TEXTS[part], parts[part]))
  return [
    `ready after ${totalMs.toFixed(0)} ms:`,
    ...table([...rows, row('not attributed', notAttributedMs)]),
    ...(cpu === null
      ? []
      : [
          `processor time: daemon ${cpu.daemonMs.toFixed(0)} ms, mounter ${cpu.mounterMs.toFixed(0)} ms`
        ]),
    ...(worst.length === 0 ? [] : ['reads that waited longest, by file:']),
    ...table(
      worst.map(({ path, reads, ms }) => [
        `${ms.toFixed(0)} ms`.padStart(9),
        `${reads}`,
        printable(path)
      ])
    )
  ]
}
