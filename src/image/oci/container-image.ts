import type { Blob } from './blob.ts'
import type { BlobStore } from './blob-store.ts'
import { badImage } from './image-error.ts'
import type { ImageConfig } from './image-config.ts'

/** A container image that was found and chosen, its layers still to be read. */
export interface ContainerImage {
  /** For the manifest. */
  readonly kind: 'oci' | 'docker-archive' | 'registry'
  readonly store: BlobStore
  readonly config: ImageConfig
  /** The lowest first. */
  readonly layers: readonly Layer[]
}

export interface Layer extends Blob {
  /** Digest of its tar archive, uncompressed. */
  readonly diffId: string
}

/** Says with the config which layer is which. @throws ContainerError `BAD_SOURCE` */
export function withDiffIds(layers: readonly Blob[], { diffIds, platform }: ImageConfig): Layer[] {
  if (platform.os !== 'linux') {
    throw badImage(`it is an image for ${platform.os}`, 'only images for Linux can be shared')
  }
  if (diffIds.length !== layers.length) {
    throw badImage(`it has ${layers.length} layers and its config names ${diffIds.length}`)
  }
  return layers.map((layer, i) => ({ ...layer, diffId: diffIds[i]! }))
}
