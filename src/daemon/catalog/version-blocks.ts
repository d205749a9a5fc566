import { chunkBlocks } from '../../image/chunk/block-ranges.ts'
import type { ReadBlock } from '../../image/format/image-part.ts'
import { manifestParts, type Manifest } from '../../image/format/manifest.ts'
import { VersionReader } from '../../image/format/version-reader.ts'

/**
 * Lists all blocks of one version: manifest, index, profile, hashes and content.
 *
 * @returns `[first block, count]`; what a reader needs first comes first
 * @throws what reading the index throws
 */
export async function versionBlocks(
  manifest: Manifest,
  read: ReadBlock
): Promise<[number, number][]> {
  const parts = manifestParts(manifest).map(({ block, blocks }): [number, number] => [
    block,
    blocks
  ])
  const tree = await new VersionReader(manifest, read).tree()
  const end = manifest.versions.at(-1)?.blocks ?? 0
  return [
    ...(end > 0 ? [[end - 1, 1] as [number, number]] : []),
    ...parts,
    ...chunkBlocks(tree.chunks)
  ]
}
