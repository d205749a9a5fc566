import { isContainerError } from '../errors.ts'
import type { BlobStore } from './blob-store.ts'
import type { ContainerImage } from './container-image.ts'
import { findDockerImage } from './docker-archive.ts'
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
    if (kind === 'docker-archive') return await findDockerImage(store, options)
    return await findOciImage(store, 'oci', options)
  } catch (error) {
    // The messages name files of the image, and a call that asks for another kind finds none of them.
    if (expected === undefined || !isContainerError(error, 'BAD_SOURCE')) throw error
    if ((await imageKind(store)) === expected) throw error
    throw badImage(
      `it is no ${expected === 'oci' ? 'OCI layout' : expected}`,
      'give its path alone, to have it read as what it is',
      error
    )
  }
}
