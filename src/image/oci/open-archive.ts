import { open, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { ArchiveStream, STDIN } from '../archive-stream.ts'
import { AtomicFile } from '../atomic-file.ts'
import { tarSource } from '../tar-source.ts'
import { temporaryDirectory } from '../temporary-directory.ts'
import type { CleanupStack } from '../cleanup-stack.ts'
import type { PublishSource } from '../publish.ts'
import { ArchiveBlobs, beginsAsImage } from './archive-blobs.ts'
import { findImage, imageKind } from './find-image.ts'
import { badImage } from './image-error.ts'
import { openLayers } from './layered-source.ts'
import type { ChooseOptions } from './oci-layout.ts'

export interface OpenArchiveOptions extends ChooseOptions {
  /** What the archive must be. @default what it is, an archive of files included */
  readonly expected?: 'oci' | 'docker-archive'
  readonly signal?: AbortSignal
}

/** As much as the headers of an archive's first directories take. */
const PEEK_BYTES = 16 * 1024

/**
 * An archive as something to publish: one of files, or one that holds a container image. Of an image
 * every part must be read at any time, so one that is compressed or comes through a pipe is first
 * written to a temporary file; its layers are not unpacked there.
 *
 * @param path of a file or pipe; `-` is stdin
 * @throws ContainerError `NOT_FOUND`, `IO`, `BAD_SOURCE`, `DISK_FULL`, `MISSING_TOOL`, `USAGE`
 */
export async function openArchive(
  path: string,
  options: OpenArchiveOptions,
  cleanup: CleanupStack
): Promise<PublishSource> {
  const inPlace = await openImage(path, options, cleanup)
  if (inPlace !== undefined) return inPlace
  const archive = await ArchiveStream.of(path)
  cleanup.defer(() => archive.close())
  if (!(await beginsAsImage(await archive.peek(PEEK_BYTES, options.signal)))) {
    return options.expected === undefined ? tarSource(archive) : noImage()
  }
  const copy = join(await temporaryDirectory(cleanup), 'archive')
  await using file = await AtomicFile.create(copy)
  for await (const piece of archive.bytes(options.signal)) await file.write(piece)
  await file.commit()
  const image = await openImage(copy, options, cleanup)
  if (image !== undefined) return image
  return options.expected === undefined ? tarSource(await ArchiveStream.of(copy)) : noImage()
}

/** Undefined for what is no archive of an image, or cannot be read at any place. */
async function openImage(
  path: string,
  options: OpenArchiveOptions,
  cleanup: CleanupStack
): Promise<PublishSource | undefined> {
  const status = path === STDIN ? undefined : await stat(path).catch(() => undefined)
  if (status?.isFile() !== true) return undefined
  const file = await open(path, 'r').catch(() => undefined)
  if (file === undefined) return undefined
  cleanup.defer(() => file.close())
  const blobs = await ArchiveBlobs.of(file, options.signal)
  if (blobs === undefined || (await imageKind(blobs)) === undefined) return undefined
  return openLayers(await findImage(blobs, options, options.expected), options.signal)
}

function noImage(): never {
  throw badImage('the archive holds none', 'give an archive that skopeo or docker save wrote')
}
