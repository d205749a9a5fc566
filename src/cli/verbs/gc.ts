import { ImageReference } from '../../p2p/link.ts'
import { InvalidArgumentError, type Command } from 'commander'
import type { GcResponse } from '../../rpc/protocol.ts'
import { ContainerError } from '../../core/errors.ts'
import { readGlobals, type Globals } from '../parse/globals.ts'
import { printable } from '../print/output.ts'
import { fittedTable } from '../print/table.ts'

interface GcFlags {
  readonly oldVersions?: boolean
  readonly keep: number
  readonly dryRun?: boolean
}

export function addGc(program: Command): void {
  program
    .command('gc')
    .description('free space that only old versions of images use')
    .argument('[images...]', 'names or links (default: all images that this machine can read)')
    .option('--old-versions', 'free all versions except the newest and those in use here')
    .option('--keep <n>', 'keep this many versions, including the newest', positive, 1)
    .option('--dry-run', 'only show what would be freed')
    .addHelpText('after', '\nExample:\n  dat-container gc --old-versions debian --keep 2')
    .action(async (images: ImageReference[], flags: GcFlags, command: Command) => {
      await gc(images, flags, readGlobals(command))
    })
}

function positive(text: string): number {
  const value = Number(text)
  if (Number.isSafeInteger(value) && value > 0) return value
  throw new InvalidArgumentError('it is not a whole number above 0')
}

async function gc(
  images: readonly ImageReference[],
  flags: GcFlags,
  globals: Globals
): Promise<void> {
  if (flags.oldVersions !== true) {
    throw new ContainerError('USAGE', 'say what to free', {
      hint: 'dat-container gc --old-versions'
    })
  }
  const { default: prettyBytes } = await import('pretty-bytes')
  const { pinnedVersions } = await import('../../boot/containers/pinned-versions.ts')
  const { DaemonClient } = await import('../../session/connection/client.ts')
  const { openHome } = await import('../../home/home.ts')
  const { METHODS } = await import('../../rpc/protocol.ts')
  using client = await DaemonClient.connect(openHome(globals.home))
  const chosen = images.length > 0 ? images : await readable()
  const pinned = await pinnedVersions(globals.home)
  const results: GcResponse[] = []
  for (const image of chosen) {
    const dryRun = flags.dryRun ?? false
    results.push(await client.request(METHODS.gc, { image, keep: flags.keep, pinned, dryRun }))
  }
  const bytes = results.reduce((sum, result) => sum + result.bytes, 0)
  const document = { dryRun: flags.dryRun ?? false, bytes, images: results }
  globals.output.result(document, () => [
    ...fittedTable([
      ['NAME', 'KEPT', 'FREED', 'BYTES'],
      ...results.map((result) => [
        printable(result.name),
        result.kept.join(' '),
        result.freed.join(' ') || '-',
        prettyBytes(result.bytes)
      ])
    ]),
    `${prettyBytes(bytes)} ${document.dryRun ? 'would be' : 'were'} freed`
  ])

  /** Mirrors cannot tell versions apart. */
  async function readable(): Promise<ImageReference[]> {
    const list = await client.request(METHODS.images, null)
    return list.flatMap(({ role, link }) =>
      role === 'mirror' || link === null ? [] : [ImageReference.parse(link)]
    )
  }
}
