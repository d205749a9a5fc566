import { ImageReference } from '../../p2p/link.ts'
import { InvalidArgumentError, type Command } from 'commander'
import type { EvictResponse, GcResponse } from '../../rpc/protocol.ts'
import { ContainerError } from '../../core/errors.ts'
import { byteAmount } from '../parse/arguments.ts'
import { readGlobals, type Globals } from '../parse/globals.ts'
import { printable } from '../print/output.ts'
import { fittedTable } from '../print/table.ts'

interface GcFlags {
  readonly oldVersions?: boolean
  readonly keep: number
  readonly dryRun?: boolean
  /** Bytes, or as the daemon is set. */
  readonly maxDisk?: number | true
}

export function addGc(program: Command): void {
  program
    .command('gc')
    .description('free space: of old versions of images, or of images that nothing needs')
    .argument('[images...]', 'names or links (default: all images that this machine can read)')
    .option('--old-versions', 'free all versions except the newest and those in use here')
    .option('--keep <n>', 'keep this many versions, including the newest', positive, 1)
    .option(
      '--max-disk [size]',
      'evict images that nothing needs until the store takes no more disk (default: max-disk of the daemon)',
      byteAmount
    )
    .option('--dry-run', 'only show what would be freed')
    .addHelpText(
      'after',
      '\n--max-disk evicts what the daemon evicts by itself when the store reaches max-disk: first complete images, the least\n' +
        'recently used first, then blocks of others. Images that were published, seeded, mirrored or pinned here stay, and those\n' +
        'that a container (also a stopped one), a mount or another command needs.\n' +
        '\nExamples:\n  dat-container gc --old-versions debian --keep 2\n  dat-container gc --max-disk 20G --dry-run'
    )
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
  if ((flags.oldVersions === true) === (flags.maxDisk !== undefined)) {
    throw new ContainerError('USAGE', 'say what to free', {
      hint: 'give either --old-versions or --max-disk'
    })
  }
  if (flags.maxDisk !== undefined) {
    await evict(images, flags, globals)
    return
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

async function evict(
  images: readonly ImageReference[],
  { maxDisk, dryRun = false }: GcFlags,
  globals: Globals
): Promise<void> {
  if (images.length > 0) {
    throw new ContainerError('USAGE', '--max-disk chooses the images itself', {
      hint: 'to remove certain images: dat-container unseed'
    })
  }
  const { default: prettyBytes } = await import('pretty-bytes')
  const { DaemonClient } = await import('../../session/connection/client.ts')
  const { openHome } = await import('../../home/home.ts')
  const { METHODS } = await import('../../rpc/protocol.ts')
  using client = await DaemonClient.connect(openHome(globals.home))
  const evicted: EvictResponse = await client.request(METHODS.evict, {
    dryRun,
    ...(typeof maxDisk === 'number' && { toBytes: maxDisk })
  })
  globals.output.result({ dryRun, ...evicted }, () => [
    ...(evicted.images.length === 0
      ? []
      : fittedTable([
          ['NAME', 'EVICTED', 'BLOCKS', 'BYTES'],
          ...evicted.images.map(({ name, whole, blocks, bytes }) => [
            printable(name),
            whole ? 'all' : 'a part',
            String(blocks),
            prettyBytes(bytes)
          ])
        ])),
    `${prettyBytes(evicted.bytes)} ${dryRun ? 'would be' : 'were'} freed; the store took ${prettyBytes(evicted.usedBytes)}`
  ])
}
