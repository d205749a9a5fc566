import type { ImageReference } from '../../p2p/link.ts'
import { createReadStream } from 'node:fs'
import { lstat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { Argument, Option, type Command } from 'commander'
import type { ArchiveSink } from '../../image/export/oci-export.ts'
import type { ExportedTar } from '../../image/export/tar-export.ts'
import { withCleanup } from '../../core/cleanup-stack.ts'
import { ContainerError } from '../../core/errors.ts'
import { oneOf } from '../parse/arguments.ts'
import { readGlobals, type Globals } from '../parse/globals.ts'
import { interruptible } from '../print/interrupt.ts'
import { writeStdout } from '../print/stdout.ts'
import { addOpenOptions, openToLook, type OpenFlags } from '../parse/open-options.ts'

type Format = 'tar' | 'oci'

interface ExportFlags extends OpenFlags {
  readonly compression?: 'gzip' | 'zstd'
}

const STDOUT = '-'
/** Mode of the archive, which the umask restricts, as for any other file that a user creates. */
const FILE_MODE = 0o666

export function addExport(program: Command): void {
  addOpenOptions(
    program
      .command('export')
      .description('write a complete image to an archive')
      .argument('<image>', 'a link, or the name of an image that is on this machine')
      .addArgument(
        new Argument('<format>', 'tar, or an OCI archive with one layer').choices(['tar', 'oci'])
      )
      .argument('<file>', 'the archive, or - for stdout')
      .addOption(
        new Option(
          '--compression <kind>',
          'compression of an OCI archive’s layer: gzip or zstd (default: gzip)'
        ).argParser(oneOf('gzip', 'zstd'))
      )
  )
    .addHelpText('after', EXAMPLES)
    .action(
      async (
        link: ImageReference,
        format: Format,
        file: string,
        flags: ExportFlags,
        command: Command
      ) => {
        await exportImage(link, format, file, flags, readGlobals(command))
      }
    )
}

const EXAMPLES = `
Examples:
  dat-container export 'dat://KEY#SECRET' tar debian.tar
  dat-container export debian oci debian.oci && skopeo copy oci-archive:debian.oci docker-daemon:debian:12
  dat-container export debian oci - | podman load`

async function exportImage(
  link: ImageReference,
  format: Format,
  file: string,
  flags: ExportFlags,
  globals: Globals
): Promise<void> {
  const { AtomicFile } = await import('../../core/atomic-file.ts')
  const oci = await import('../../image/export/oci-export.ts')
  const { exportTar } = await import('../../image/export/tar-export.ts')
  const { progressBar } = await import('../print/progress.ts')
  const { output } = globals
  if (file === STDOUT && (output.json || process.stdout.isTTY)) {
    throw new ContainerError('USAGE', 'refusing to write an archive to a terminal', {
      hint: output.json ? 'give a file with --json' : 'redirect stdout, or give a file'
    })
  }
  if (flags.compression !== undefined && format !== 'oci') {
    throw new ContainerError('USAGE', '--compression applies only to OCI archives', {
      hint: 'compress the archive afterwards, or through a pipe: export IMAGE tar - | xz'
    })
  }
  const path = resolve(file)
  if (file !== STDOUT) await checkReplaceable(path)
  await interruptible(async (signal) => {
    await using image = await openToLook(link, flags, globals, signal)
    using bar = progressBar('exporting', output.json)
    const options = {
      signal,
      onProgress: (bytes: number) => bar.update(bytes, image.manifest.bytes, '')
    }
    const write = (sink: ArchiveSink): Promise<ExportedTar> => {
      if (format === 'tar') {
        return exportTar(image.tree, image.chunks, (bytes) => sink.write(bytes), options)
      }
      const { compression } = flags
      return oci.exportImage(image, sink, { ...options, ...(compression && { compression }) })
    }
    if (file === STDOUT) {
      const written =
        format === 'tar' ? await write(stdoutSink(signal)) : await writeLater(write, signal)
      noteSkipped(globals, written)
      return
    }
    await using archive = await AtomicFile.create(path, FILE_MODE)
    const written = await write(archive)
    await archive.commit()
    noteSkipped(globals, written)
    const { key, version } = image
    output.result({ key, version, file: path, ...written }, () => [
      `version ${version}: ${written.entries} entries, ${written.bytes} bytes in ${path}`
    ])
  })
}

/** A pipe cannot be gone back in: the archive is made in a temporary file first. */
async function writeLater(
  write: (sink: ArchiveSink) => Promise<ExportedTar>,
  signal: AbortSignal
): Promise<ExportedTar> {
  const { AtomicFile } = await import('../../core/atomic-file.ts')
  const { temporaryDirectory } = await import('../../core/temporary-directory.ts')
  return withCleanup(async (cleanup) => {
    const path = join(await temporaryDirectory(cleanup), 'archive')
    await using archive = await AtomicFile.create(path)
    const written = await write(archive)
    await archive.commit()
    for await (const piece of createReadStream(path) as AsyncIterable<Buffer>) {
      await writeStdout(piece, signal)
    }
    return written
  })
}

function stdoutSink(signal: AbortSignal): ArchiveSink {
  return {
    write: (bytes) => writeStdout(bytes, signal),
    writeAt: () => Promise.reject(new Error('stdout has no positions'))
  }
}

/** The archive takes the place of what is there, which for a device would be a mishap. */
async function checkReplaceable(path: string): Promise<void> {
  const status = await lstat(path).catch(() => undefined)
  if (status === undefined || status.isFile()) return
  throw new ContainerError('USAGE', `${path} exists and is not a file`, {
    hint: 'give another path, or - to write to stdout'
  })
}

function noteSkipped({ output }: Globals, { skipped }: ExportedTar): void {
  if (skipped > 0) output.note(`${skipped} sockets are not in it: archives cannot hold them`)
}
