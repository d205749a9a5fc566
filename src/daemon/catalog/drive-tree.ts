import { readTree } from '../../image/format/index-part.ts'
import type { Manifest } from '../../image/format/manifest.ts'
import type { Tree } from '../../image/tree/tree.ts'
import type { BlockFetcher } from '../../p2p/transfer/block-fetcher.ts'

/**
 * A version's tree, from blocks that are here or with peers.
 *
 * @throws ContainerError `BAD_INDEX`; the signal's reason
 */
export function readDriveTree(
  fetcher: BlockFetcher,
  manifest: Manifest,
  signal: AbortSignal
): Promise<Tree> {
  return readTree(manifest, (block) => fetcher.read(block, { signal }))
}
