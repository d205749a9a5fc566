import { chunkBlocks } from '../../image/chunk/block-ranges.ts'
import { manifestParts, type Manifest } from '../../image/format/manifest.ts'
import type { DriveSession } from '../../p2p/transfer/drive-session.ts'
import { peerDeadline } from '../../core/abort.ts'
import { VersionReader } from '../../image/format/version-reader.ts'
import type { FreedVersions } from '../../rpc/protocol.ts'

/** How long the indexes of kept versions may take that are not here. */
const LOOKING_MS = 30_000

export interface FreeOptions {
  readonly newest: Manifest
  /** Versions to keep besides the newest. */
  readonly keep: ReadonlySet<number>
  /** Only tell what would be freed. */
  readonly dryRun: boolean
  readonly signal: AbortSignal
}

/**
 * Frees the blocks that no kept version uses. What was appended behind the newest version, by a publish
 * that is under way, stays; so do all manifests, which are small and tell where versions are.
 *
 * @throws ContainerError `PEERS_UNREACHABLE` when the index of a kept version is not to be had, without
 *   having freed anything; the signal's reason
 */
export async function freeOldVersions(
  drive: DriveSession,
  options: FreeOptions
): Promise<FreedVersions> {
  const { newest, keep, dryRun, signal } = options
  const looking = peerDeadline(signal, LOOKING_MS, 'the index of a version that is kept')
  const { cores, fetcher } = await drive.open(signal)
  const end = newest.versions.at(-1)?.blocks ?? 0
  const needed = new Uint8Array(end)
  const need = (first: number, count: number): void => void needed.fill(1, first, first + count)
  const kept: number[] = []
  const freed: number[] = []
  for (const record of newest.versions) {
    need(record.blocks - 1, 1)
    if (record.version !== newest.version && !keep.has(record.version)) {
      freed.push(record.version)
      continue
    }
    kept.push(record.version)
    const manifest = await drive.manifest(record.version, looking.signal)
    for (const { block, blocks } of manifestParts(manifest)) need(block, blocks)
    for (const [first, count] of await usedBlocks(manifest)) need(first, count)
  }
  looking.clear()
  let blocks = 0
  let bytes = 0
  for (let first = 0; first < end; first++) {
    let next = first
    for (; next < end && needed[next] === 0 && fetcher.has(next); next++) {
      bytes += (await cores.blobs.get(next, { wait: false }))?.length ?? 0
      signal.throwIfAborted()
    }
    if (next === first) continue
    blocks += next - first
    if (!dryRun) await cores.blobs.clear(first, next)
    first = next
  }
  // Until then the store only remembers that they are gone.
  if (!dryRun && blocks > 0) await cores.blobs.compact()
  return { kept, freed, blocks, bytes }

  async function usedBlocks(manifest: Manifest): Promise<[number, number][]> {
    const tree = await new VersionReader(manifest, (block) =>
      fetcher.read(block, { signal: looking.signal })
    ).tree()
    return chunkBlocks(tree.chunks)
  }
}
