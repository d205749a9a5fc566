import { basename, resolve } from 'node:path'
import type { Command } from 'commander'
import { collect } from '../arguments.ts'
import { readGlobals, type Globals } from '../globals.ts'
import { interruptible } from '../interrupt.ts'
import { printable } from '../output.ts'

interface ShareFlags {
  readonly name?: string
  readonly update?: string
  readonly description?: string
  readonly message?: string
  readonly exclude?: string[]
  readonly oneFileSystem?: boolean
}

export function addShare(program: Command): void {
  program
    .command('share')
    .description('publish a root filesystem as an encrypted image and seed it')
    .argument('<directory>', 'the root filesystem')
    .option('-n, --name <name>', 'name of the image (default: the directory’s)')
    .option('--description <text>', 'one line about the image')
    .option('--update <link|name>', 'publish a new version of this image')
    .option('-m, --message <text>', 'what this version changes')
    .option('--exclude <pattern>', 'leave out paths that match (repeatable)', collect)
    .option('--one-file-system', 'stay on the directory’s own file system')
    .addHelpText('after', '\nExample:\n  dat-container share ./rootfs --name debian')
    .action(async (directory: string, flags: ShareFlags, command: Command) => {
      await share(directory, flags, readGlobals(command))
    })
}

async function share(directory: string, flags: ShareFlags, globals: Globals): Promise<void> {
  const { default: prettyBytes } = await import('pretty-bytes')
  const { progressBar } = await import('../progress.ts')
  const { publishDirectory } = await import('../../daemon/publish-directory.ts')
  const { output, home } = globals
  const path = resolve(directory)
  const published = await interruptible(async (signal) => {
    using bar = progressBar('sharing', output.json)
    return publishDirectory({
      home,
      path,
      name: flags.name ?? (basename(path) || 'rootfs'),
      signal,
      ...(flags.description === undefined ? {} : { description: flags.description }),
      ...(flags.update === undefined ? {} : { update: flags.update }),
      ...(flags.message === undefined ? {} : { message: flags.message }),
      ...(flags.exclude === undefined ? {} : { exclude: flags.exclude }),
      ...(flags.oneFileSystem === undefined ? {} : { oneFileSystem: flags.oneFileSystem }),
      onProgress: ({ bytes, totalBytes, files, totalFiles, newBytes }) =>
        bar.update(
          bytes,
          totalBytes,
          `${files}/${totalFiles} files, ${prettyBytes(newBytes)} stored`
        )
    })
  })
  output.result(published, () => [
    `${printable(published.name)} version ${published.version}: ` +
      `${published.files} files, ${prettyBytes(published.bytes)}; ` +
      `${prettyBytes(published.storedBytes)} stored, ${prettyBytes(published.newBytes)} new`,
    '',
    `  boot it:    dat-container boot '${published.link}'`,
    `  mirror it:  dat-container mirror '${published.mirrorLink}'`,
    '',
    'The first link reads the image: give it only to those who may. The second cannot.',
    'This machine seeds it for as long as its daemon runs.'
  ])
}
