import type { ImageReference } from '../../p2p/link.ts'
import type { Command } from 'commander'
import { ContainerError } from '../../core/errors.ts'
import { argumentBytes } from '../parse/argument-bytes.ts'
import { readGlobals, type Globals } from '../parse/globals.ts'
import { interruptible } from '../print/interrupt.ts'
import { writeStdout } from '../print/stdout.ts'
import { addOpenOptions, openToLook, type OpenFlags } from '../parse/open-options.ts'

/** Bytes asked for at once; blocks of it are fetched side by side. */
const PIECE_BYTES = 1024 * 1024

export function addCat(program: Command): void {
  addOpenOptions(
    program
      .command('cat')
      .description('write a file of an image to stdout, fetching only that file')
      .argument('<image>', 'a link, or the name of an image that is on this machine')
      .argument('<path>', 'a file in the image')
  )
    .addHelpText('after', "\nExample:\n  dat-container cat 'dat://KEY#SECRET' /etc/os-release")
    .action(async (link: ImageReference, path: string, flags: OpenFlags, command: Command) => {
      await cat(link, path, flags, readGlobals(command))
    })
}

async function cat(
  link: ImageReference,
  path: string,
  flags: OpenFlags,
  globals: Globals
): Promise<void> {
  const { readFileRange, resolvePath } = await import('../../image/chunk/read-file.ts')
  await interruptible(async (signal) => {
    await using image = await openToLook(link, flags, globals, signal)
    const { tree, chunks } = image
    const inode = resolvePath(tree, argumentBytes(path), { followSymlinks: true })
    if (inode === undefined) throw new ContainerError('NOT_FOUND', `no ${path} in this image`)
    if (tree.type(inode) !== 'file') {
      throw new ContainerError('USAGE', `${path} is a ${tree.type(inode)}, not a file`)
    }
    const size = tree.size(inode)
    for (let offset = 0; offset < size; offset += PIECE_BYTES) {
      const length = Math.min(PIECE_BYTES, size - offset)
      const piece = await readFileRange(tree, chunks, inode, offset, length, signal)
      await writeStdout(piece, signal)
    }
  })
}
