import type { Command } from 'commander'
import { readGlobals, type Globals } from '../globals.ts'
import { table } from '../output.ts'

export function addStats(program: Command): void {
  program
    .command('stats')
    .description('tell what a running container uses and what of its image was fetched')
    .argument('<name>', 'the container')
    .addHelpText('after', '\nExample:\n  dat-container stats web --json')
    .action(async (name: string, _flags: object, command: Command) => {
      await stats(name, readGlobals(command))
    })
}

async function stats(name: string, { home, output }: Globals): Promise<void> {
  const { default: prettyBytes } = await import('pretty-bytes')
  const { containerStats } = await import('../../boot/container-stats.ts')
  const found = await containerStats({ home, name })
  const share = found.imageBytes === 0 ? 100 : (100 * found.localBytes) / found.imageBytes
  output.result(found, () =>
    table([
      ['processes', `${found.pids}, ${prettyBytes(found.rssBytes)} resident`],
      ['CPU', `${(found.cpuMs / 1_000).toFixed(1)} s in ${(found.uptimeMs / 1_000).toFixed(1)} s`],
      ['image', prettyBytes(found.imageBytes)],
      ['here', `${prettyBytes(found.localBytes)} (${share.toFixed(0)} %)`],
      ['fetched', `${prettyBytes(found.fetchedBytes)} since it was opened`],
      ['on demand', `${prettyBytes(found.demandBytes)} in ${found.demandReads} reads that waited`],
      ['ahead', prettyBytes(found.prefetchBytes)],
      ['stalled', `${(found.stallMs / 1_000).toFixed(2)} s, summed over reads`],
      ['peers', String(found.peers)]
    ])
  )
}
