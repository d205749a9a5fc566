import { once } from 'node:events'
import { lstat } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import type { ExportedTar } from '../../image/tar-export.ts'
import { ContainerError } from '../../image/errors.ts'
import { oneOf } from '../arguments.ts'
import { readGlobals, type Globals } from '../globals.ts'
import { interruptible } from '../interrupt.ts'
import { addOpenOptions, openToLook, type OpenFlags } from './open-options.ts'

const STDOUT = '-'
/** Who could read the image can read the archive anyway; whoever else is kept out by the umask. */
const FILE_MODE = 0o666

export function addExport(program: Command): void {
  addOpenOptions(
    program
      .command('export')
      .description('write an image as an archive, with everything that it holds')
      .argument('<image>', 'a link, or the name of an image that is on this machine')
      .argument('<format>', 'tar', oneOf('tar'))
      .argument('<file>', 'the archive, or - for stdout')
  )
    .addHelpText('after', "\nExample:\n  dat-container export 'dat://KEY#SECRET' tar debian.tar")
    .action(async (link: string, _: 'tar', file: string, flags: OpenFlags, command: Command) => {
      await exportImage(link, file, flags, readGlobals(command))
    })
}

async function exportImage(
  link: string,
  file: string,
  flags: OpenFlags,
  globals: Globals
): Promise<void> {
  const { AtomicFile } = await import('../../image/atomic-file.ts')
  const { exportTar } = await import('../../image/tar-export.ts')
  const { progressBar } = await import('../progress.ts')
  const { output } = globals
  if (file === STDOUT && (output.json || process.stdout.isTTY)) {
    throw new ContainerError('USAGE', 'stdout is not for an archive here', {
      hint: output.json ? 'give a file with --json' : 'redirect stdout, or give a file'
    })
  }
  const path = resolve(file)
  if (file !== STDOUT) await checkReplaceable(path)
  await interruptible(async (signal) => {
    await using image = await openToLook(link, flags, globals, signal)
    using bar = progressBar('exporting', output.json)
    const write = (sink: (bytes: Uint8Array) => Promise<void>): Promise<ExportedTar> =>
      exportTar(image.tree, image.chunks, sink, {
        signal,
        onProgress: (bytes) => bar.update(bytes, image.manifest.bytes, '')
      })
    if (file === STDOUT) {
      noteSkipped(globals, await write((bytes) => writeStdout(bytes, signal)))
      return
    }
    await using archive = await AtomicFile.create(path, FILE_MODE)
    const written = await write((bytes) => archive.write(bytes))
    await archive.commit()
    noteSkipped(globals, written)
    const { key, version } = image
    output.result({ key, version, file: path, ...written }, () => [
      `version ${version}: ${written.entries} entries, ${written.bytes} bytes in ${path}`
    ])
  })
}

/** The archive takes the place of what is there, which for a device would be a mishap. */
async function checkReplaceable(path: string): Promise<void> {
  const status = await lstat(path).catch(() => undefined)
  if (status === undefined || status.isFile()) return
  throw new ContainerError('USAGE', `${path} is there and is no file`, {
    hint: 'give another path, or - and redirect stdout'
  })
}

async function writeStdout(bytes: Uint8Array, signal: AbortSignal): Promise<void> {
  if (!process.stdout.write(bytes)) await once(process.stdout, 'drain', { signal })
}

function noteSkipped({ output }: Globals, { skipped }: ExportedTar): void {
  if (skipped > 0) output.note(`${skipped} sockets are not in it: archives cannot hold them`)
}
