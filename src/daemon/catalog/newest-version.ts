import { decodeManifest } from '../../image/format/manifest-codec.ts'
import type { Manifest } from '../../image/format/manifest.ts'
import { VersionReader } from '../../image/format/version-reader.ts'
import type { DriveWriter } from '../../p2p/drive/drive-writer.ts'

/** The manifest of the newest version of a drive of this home; undefined where nothing was committed yet. */
export async function newestManifest(writer: DriveWriter): Promise<Manifest | undefined> {
  const block = await writer.newestManifest()
  return block && decodeManifest(block)
}

/** Reads a version of a drive of this home. */
export function readerOf(writer: DriveWriter, manifest: Manifest): VersionReader {
  return new VersionReader(manifest, (block) => writer.read(block))
}
