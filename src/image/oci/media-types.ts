import { badImage } from './image-error.ts'

const OCI = 'application/vnd.oci.image'
const DOCKER = 'application/vnd.docker'

export const INDEX_TYPES: ReadonlySet<string> = new Set([
  `${OCI}.index.v1+json`,
  `${DOCKER}.distribution.manifest.list.v2+json`
])
export const MANIFEST_TYPES: ReadonlySet<string> = new Set([
  `${OCI}.manifest.v1+json`,
  `${DOCKER}.distribution.manifest.v2+json`
])
const CONFIG_TYPES: ReadonlySet<string> = new Set([
  `${OCI}.config.v1+json`,
  `${DOCKER}.container.image.v1+json`
])
/** Media type of configs in manifests that Docker pushed before it had a type for them. */
const OLD_CONFIG_TYPE = 'application/octet-stream'

/** Whether a manifest with a config of this type is an image's. @param manifestType the manifest's own */
export function isConfigType(mediaType: string, manifestType: string): boolean {
  if (CONFIG_TYPES.has(mediaType)) return true
  return mediaType === OLD_CONFIG_TYPE && manifestType.startsWith(DOCKER)
}

/** Where a layer's bytes tell how they are compressed, the rest of its type says nothing new. */
const LAYER =
  /^application\/vnd\.(?:oci\.image\.layer(?:\.nondistributable)?\.v1\.tar(?:\+(?:gzip|zstd))?|docker\.image\.rootfs\.(?:foreign\.)?diff\.tar(?:\.(?:gzip|zstd))?)$/

/** @throws ContainerError `BAD_SOURCE` for a layer that is no tar archive */
export function checkLayerType(mediaType: string): void {
  if (LAYER.test(mediaType)) return
  const isEncrypted = mediaType.endsWith('+encrypted')
  throw badImage(
    isEncrypted ? 'its layers are encrypted' : `it has a layer of unknown type ${mediaType}`,
    isEncrypted
      ? 'decrypt it first: skopeo copy --decryption-key KEY …'
      : 'layers are tar archives: plain, or compressed with gzip or zstd'
  )
}
