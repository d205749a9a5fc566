import { decodeManifest } from '../../image/format/manifest-codec.ts'
import type { Manifest } from '../../image/format/manifest.ts'
import { VersionReader } from '../../image/format/version-reader.ts'
import type { DriveWriter } from '../../p2p/drive/drive-writer.ts'

/**
 * Reads the manifest of the newest version of a drive of this home.
 *
 * @returns undefined before the first commit
 */
export async function newestManifest(writer: DriveWriter): Promise<Manifest | undefined> {
  const block = await writer.newestManifestBlock()
  return block && decodeManifest(block)
}

/** Makes a reader of one version of a drive of this home. */
export function readerOf(writer: DriveWriter, manifest: Manifest): VersionReader {
  return new VersionReader(manifest, (block) => writer.read(block))
}
