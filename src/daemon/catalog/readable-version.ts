import { chunkBlocks } from '../../image/chunk/block-ranges.ts'
import { ContainerError, isContainerError } from '../../core/errors.ts'
import type { Manifest } from '../../image/format/manifest.ts'
import type { DriveSession } from '../../p2p/transfer/drive-session.ts'
import { VersionReader } from '../../image/format/version-reader.ts'

/**
 * Checks that an old version can be read, because its blocks may have been freed everywhere: its index must be
 * available, and one block that is not here.
 *
 * @throws ContainerError `PEERS_UNREACHABLE`, which names the version
 */
export async function requireReadable(
  drive: DriveSession,
  manifest: Manifest,
  signal: AbortSignal
): Promise<void> {
  const { cores, fetcher } = await drive.open(signal)
  const { version, versions } = manifest
  // Nobody frees the newest.
  if (versions.at(-1)?.blocks === cores.blobs.length) return
  try {
    const { chunks } = await new VersionReader(manifest, (block) =>
      fetcher.read(block, { signal })
    ).tree()
    for (const [first, count] of chunkBlocks(chunks)) {
      for (let block = first; block < first + count; block++) {
        if (fetcher.has(block)) continue
        await fetcher.read(block, { signal })
        return
      }
    }
  } catch (cause) {
    if (!isContainerError(cause, 'PEERS_UNREACHABLE')) throw cause
    const message = `version ${version} is not on this machine, and no peer with it answers`
    const hint = 'it may have been freed by `gc --old-versions`; `info` lists the versions'
    throw new ContainerError('PEERS_UNREACHABLE', message, { hint, cause })
  }
}
