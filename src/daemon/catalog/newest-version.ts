import type { ColumnTree } from '../../image/tree/column-tree.ts'
import { readTree } from '../../image/format/index-part.ts'
import { decodeManifest } from '../../image/format/manifest-codec.ts'
import type { Manifest } from '../../image/format/manifest.ts'
import type { DriveWriter } from '../../p2p/drive/drive-writer.ts'

/** Undefined where nothing was committed yet. */
export async function newestManifest(writer: DriveWriter): Promise<Manifest | undefined> {
  const block = await writer.newestManifest()
  return block && decodeManifest(block)
}

/** @throws ContainerError `BAD_MANIFEST`, `BAD_INDEX` where its blocks are gone or damaged */
export function treeOf(writer: DriveWriter, manifest: Manifest): Promise<ColumnTree> {
  return readTree(manifest, (block) => writer.read(block))
}
