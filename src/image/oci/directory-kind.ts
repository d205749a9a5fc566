import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { systemErrorCode } from '../../core/errors.ts'
import { memberKind } from './archive-names.ts'
import { DirectoryBlobs } from './blob-store.ts'
import { kindOf } from './find-image.ts'

const DIGEST_DIRECTORY = 'blobs/sha256'

/**
 * Whether a directory holds an image at its top, and of which kind: an OCI layout, or what a docker-archive unpacks to.
 *
 * @throws ContainerError `BAD_SOURCE` for an image that cannot be read as it is: half of one, one of Docker before
 *   1.10, what skopeo's `dir:` wrote
 */
export async function directoryKind(path: string): Promise<'oci' | 'docker-archive' | undefined> {
  return kindOf(new DirectoryBlobs(path), { isPure: false, hasBlobs: () => hasBlobs(path) })
}

async function hasBlobs(path: string): Promise<boolean> {
  const top = await namesIn(path)
  const below = top.includes('blobs') ? await namesIn(join(path, DIGEST_DIRECTORY)) : []
  return [
    ...top.flatMap((name) => [name, `${name}/layer.tar`]),
    ...below.map((name) => `${DIGEST_DIRECTORY}/${name}`)
  ].some((name) => memberKind(name) === 'blob')
}

/** A directory that cannot be listed has no names here; the scan reports it. */
async function namesIn(path: string): Promise<string[]> {
  try {
    return await readdir(path)
  } catch (error) {
    if (systemErrorCode(error) === undefined) throw error
    return []
  }
}
