import type { ImageReference } from '../../p2p/link.ts'
import type { Command } from 'commander'
import type { InspectedImage } from '../../session/connection/image-session.ts'
import type { ComparedTree } from '../../image/tree/diff-trees.ts'
import { readGlobals, type Globals } from '../parse/globals.ts'
import { interruptible } from '../print/interrupt.ts'
import { printable } from '../print/output.ts'
import { addOpenOptions, openToLook, type OpenFlags } from '../parse/open-options.ts'

/** As diff(1) ends when it found something. */
const EXIT_DIFFERENT = 1
const SIGN = { added: '+', removed: '-', changed: '~' } as const

export function addDiff(program: Command): void {
  addOpenOptions(
    program
      .command('diff')
      .description('show what differs between two images or versions, without reading content')
      .argument('<from>', 'a link or name, with a version if you like: NAME@1')
      .argument('<to>', 'a link or name, as for <from>')
  )
    .addHelpText('after', '\nExample:\n  dat-container diff debian@1 debian@2')
    .action(
      async (from: ImageReference, to: ImageReference, flags: OpenFlags, command: Command) => {
        await diff(from, to, flags, readGlobals(command))
      }
    )
}

async function diff(
  from: ImageReference,
  to: ImageReference,
  flags: OpenFlags,
  globals: Globals
): Promise<void> {
  const { diffTrees } = await import('../../image/tree/diff-trees.ts')
  await interruptible(async (signal) => {
    await using old = await openToLook(from, flags, globals, signal)
    await using now = await openToLook(to, flags, globals, signal)
    const changes = [...diffTrees(await compared(old, signal), await compared(now, signal))]
    const document = {
      from: { key: old.key, version: old.version },
      to: { key: now.key, version: now.version },
      changes: changes.map(({ path, ...rest }) => ({ path: `/${path.toString()}`, ...rest }))
    }
    globals.output.result(document, () =>
      document.changes.map(({ path, change, what }) => {
        const aspects = what.length === 0 ? '' : `  (${what.join(', ')})`
        return `${SIGN[change]} ${printable(path)}${aspects}`
      })
    )
    if (changes.length > 0) process.exitCode = EXIT_DIFFERENT
  })
}

async function compared(image: InspectedImage, signal: AbortSignal): Promise<ComparedTree> {
  return { tree: image.tree, chunkHashes: await image.chunkHashes(signal) }
}
