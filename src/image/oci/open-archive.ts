import { open, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { ArchiveStream, STDIN } from '../tar/archive-stream.ts'
import { AtomicFile } from '../../core/atomic-file.ts'
import { tarSource } from '../tar/tar-source.ts'
import type { TarSourceOptions } from '../tar/tar-source.ts'
import { temporaryDirectory } from '../../core/temporary-directory.ts'
import type { CleanupStack } from '../../core/cleanup-stack.ts'
import type { PublishSource } from '../source/publish-source.ts'
import { ArchiveBlobs, beginsAsImage } from './archive-blobs.ts'
import { archiveKind, findImage, findImageOfKind } from './find-image.ts'
import { badImage } from './image-error.ts'
import { ImageWatch } from './image-watch.ts'
import { openLayers } from './layered-source.ts'
import type { ChooseOptions } from './oci-layout.ts'

/** Options of an archive of files. */
type FilesOptions = Pick<TarSourceOptions, 'ignoreZeros' | 'onNotice'>

interface OpenImageOptions extends ChooseOptions, FilesOptions {
  /** What the archive must be. @default what it is */
  readonly expected?: 'oci' | 'docker-archive'
  readonly signal?: AbortSignal
}

export interface OpenArchiveOptions extends Omit<OpenImageOptions, 'expected'> {
  /** What the archive must be; `tar` is one of files, whatever it looks like. @default what it is */
  readonly expected?: OpenImageOptions['expected'] | 'tar'
}

/** As much as the headers of an archive's first directories take. */
const PEEK_BYTES = 16 * 1024

/**
 * Opens an archive as a source: an archive of files, or one that holds a container image. Parts of an image
 * are read in any order, so an image that is compressed or comes through a pipe is first
 * written to a temporary file; its layers are not unpacked there.
 *
 * @param path of a file or pipe; `-` is stdin
 * @throws ContainerError `NOT_FOUND`, `IO`, `BAD_SOURCE`, `DISK_FULL`, `MISSING_TOOL`, `USAGE`. What
 *   turns out to be an image only while it is published as files is refused then.
 */
export async function openArchive(
  path: string,
  options: OpenArchiveOptions,
  cleanup: CleanupStack
): Promise<PublishSource> {
  const { expected, ...choice } = options
  if (expected === 'tar') return tarSource(await openStream(path, cleanup), filesOptions(options))
  return openAsItIs(path, expected === undefined ? choice : { ...choice, expected }, cleanup)
}

function filesOptions({ ignoreZeros, onNotice }: FilesOptions): FilesOptions {
  return { ...(ignoreZeros ? { ignoreZeros } : {}), ...(onNotice ? { onNotice } : {}) }
}

async function openStream(path: string, cleanup: CleanupStack): Promise<ArchiveStream> {
  const archive = await ArchiveStream.of(path)
  cleanup.defer(() => archive.close())
  return archive
}

async function openAsItIs(
  path: string,
  options: OpenImageOptions,
  cleanup: CleanupStack
): Promise<PublishSource> {
  const { expected, signal } = options
  const files = filesOptions(options)
  const inPlace = await openImage(path, options, cleanup)
  if (inPlace !== undefined) return inPlace
  const archive = await openStream(path, cleanup)
  const isImage = await beginsAsImage(await archive.peek(PEEK_BYTES, signal))
  if (!isImage && expected === undefined)
    return tarSource(archive, { ...files, watch: new ImageWatch() })
  const copy = join(await temporaryDirectory(cleanup), 'archive')
  await using file = await AtomicFile.create(copy)
  for await (const piece of archive.bytes(signal)) await file.write(piece)
  await file.commit()
  const image = await openImage(copy, options, cleanup)
  if (image !== undefined) return image
  if (expected !== undefined) {
    throw badImage('the archive holds none', 'give an archive that skopeo or docker save wrote')
  }
  return tarSource(await ArchiveStream.of(copy), files)
}

/** Undefined for what is no archive of an image, or cannot be read at any place. */
async function openImage(
  path: string,
  { expected, signal, ...choice }: OpenImageOptions,
  cleanup: CleanupStack
): Promise<PublishSource | undefined> {
  const status = path === STDIN ? undefined : await stat(path).catch(() => undefined)
  if (status?.isFile() !== true) return undefined
  const file = await open(path, 'r').catch(() => undefined)
  if (file === undefined) return undefined
  cleanup.defer(() => file.close())
  const blobs = await ArchiveBlobs.of(file, { isImage: expected !== undefined, signal })
  if (blobs === undefined) return undefined
  if (expected !== undefined) return openLayers(await findImage(blobs, choice, expected), signal)
  const kind = await archiveKind(blobs)
  if (kind === undefined) return undefined
  return openLayers(await findImageOfKind(blobs, kind, choice), signal)
}
