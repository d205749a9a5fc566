import { isContainerError } from '../../core/errors.ts'
import type { ArchiveBlobs } from './archive-blobs.ts'
import type { BlobStore } from './blob-store.ts'
import type { ContainerImage } from './container-image.ts'
import { isSkopeoDirectory } from './skopeo-directory.ts'
import { findDockerImage, isDockerManifest } from './docker-archive.ts'
import { badImage } from './image-error.ts'
import { findOciImage } from './oci-layout.ts'
import type { ChooseOptions } from './oci-layout.ts'

/** Whether these are the files of an image, and of which kind. */
export async function imageKind(store: BlobStore): Promise<'oci' | 'docker-archive' | undefined> {
  const has = async (name: string): Promise<boolean> => (await store.size(name)) !== undefined
  // What `docker save` writes today is both; the layout has the digests.
  if ((await has('oci-layout')) && (await has('index.json'))) return 'oci'
  return (await has('manifest.json')) ? 'docker-archive' : undefined
}

/** What to do with what is taken for an image and is none. */
export const AS_FILES = 'share it with --as files where its files are what is meant'

/**
 * Whether an archive holds an image, and of which kind. Members that no image has change nothing.
 *
 * @throws ContainerError `BAD_SOURCE` for an image that cannot be read as it is: half of one, one that
 *   is not at the top, one of Docker before 1.10
 */
export async function archiveKind(
  blobs: ArchiveBlobs
): Promise<'oci' | 'docker-archive' | undefined> {
  const kind = await kindOf(blobs, blobs)
  if (kind !== undefined) return kind
  const { top } = blobs
  if (top !== undefined && (await kindOf(blobs.belowTop(), blobs)) !== undefined) {
    throw badImage(
      `it is in ${top}, not at the top of the archive`,
      `make the archive with tar -C ${top} -cf FILE . or ${AS_FILES}`
    )
  }
  return undefined
}

/**
 * Which kind of image files are, by what is at their top; undefined for others.
 *
 * @param looks.isPure whether they are only what an image may have
 * @param looks.hasBlobs whether any has a name that only images' have; asked where that matters
 * @throws ContainerError `BAD_SOURCE` for an image that cannot be read as it is
 */
export async function kindOf(
  files: BlobStore,
  looks: { readonly isPure: boolean; hasBlobs(): Promise<boolean> }
): Promise<'oci' | 'docker-archive' | undefined> {
  const has = async (name: string): Promise<boolean> => (await files.size(name)) !== undefined
  const [layout, index] = [await has('oci-layout'), await has('index.json')]
  if (layout && index) return 'oci'
  const hasManifest = await has('manifest.json')
  if (hasManifest && (await isSkopeoDirectory(files))) throw isSkopeos()
  if (hasManifest && (looks.isPure || (await isDockerManifest(files)))) return 'docker-archive'
  const isHalf = layout || index || (await has('repositories'))
  if (!isHalf || !(await looks.hasBlobs())) return undefined
  // Half of a layout: what reads it says what it lacks.
  if (layout || index) return 'oci'
  throw badImage(
    'it is an archive of Docker before 1.10, which has no manifest.json',
    `docker load it and docker save it again, or ${AS_FILES}`
  )
}

/** What is said of an image in the form of skopeo's `dir:`, which has no tags and no platforms. */
export function isSkopeos(): Error {
  return badImage(
    "it is what skopeo's dir: writes",
    `skopeo copy dir:DIRECTORY oci:LAYOUT, and share that, or ${AS_FILES}`
  )
}

/**
 * Finds an image in files that are one.
 *
 * @param expected by a reference; what it is decides otherwise
 * @throws ContainerError `BAD_SOURCE`, `NOT_FOUND`, `USAGE`, `IO`
 */
export async function findImage(
  store: BlobStore,
  options: ChooseOptions,
  expected?: 'oci' | 'docker-archive'
): Promise<ContainerImage> {
  const kind = expected ?? (await imageKind(store))
  if (kind === undefined) throw badImage('it is none', 'give an OCI layout or a docker-archive')
  try {
    return await findImageOfKind(store, kind, options)
  } catch (error) {
    // The messages name files of the image, and a call that asks for another kind finds none of them.
    if (expected === undefined || !isContainerError(error, 'BAD_SOURCE')) throw error
    if ((await imageKind(store)) === expected) throw error
    throw badImage(
      `it is not an ${expected === 'oci' ? 'OCI layout' : expected}`,
      'give only its path, and its type is detected',
      error
    )
  }
}

/** {@link findImage} of files that are known to be of a kind. */
export async function findImageOfKind(
  store: BlobStore,
  kind: 'oci' | 'docker-archive',
  options: ChooseOptions
): Promise<ContainerImage> {
  if (kind === 'docker-archive') return findDockerImage(store, options)
  return findOciImage(store, 'oci', options)
}
