import { isContainerError } from '../../core/errors.ts'
import { decodeManifest } from '../../image/format/manifest-codec.ts'
import { manifestParts, type Manifest } from '../../image/format/manifest.ts'
import type { OpenDrive } from '../../p2p/transfer/drive-session.ts'

/** How long peers may take to give an old version's manifest. */
const MANIFEST_MS = 2_000

/**
 * Finds versions in a manifest's list whose index neither this machine nor a connected peer has any more.
 *
 * @param options.isOwner ask nobody else: what the owner has freed is gone for good
 * @param options.localOnly do not fetch missing manifests
 */
export async function freedVersions(
  { cores, fetcher }: OpenDrive,
  newest: Manifest,
  { isOwner, localOnly }: { readonly isOwner: boolean; readonly localOnly: boolean }
): Promise<number[]> {
  const { peers } = cores.blobs
  // Without peers it is only known what is not here.
  if (!isOwner && peers.length === 0) return []
  const isGone = (block: number): boolean =>
    !fetcher.has(block) && !peers.some((peer) => peer._remoteHasBlock(block))
  const freed: number[] = []
  for (const { version, blocks } of newest.versions) {
    if (version === newest.version) continue
    try {
      const content = await fetcher.read(blocks - 1, { timeoutMs: MANIFEST_MS, localOnly })
      const parts = manifestParts(decodeManifest(content))
      const isFreed = parts.some(({ block, blocks: count }) => {
        for (let n = 0; n < count; n++) if (isGone(block + n)) return true
        return false
      })
      if (isFreed) freed.push(version)
    } catch (error) {
      // Nothing is known of a version whose manifest cannot be had.
      if (!isContainerError(error)) throw error
    }
  }
  return freed
}
