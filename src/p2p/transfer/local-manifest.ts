import type Hypercore from 'hypercore'
import { isContainerError } from '../../core/errors.ts'
import { decodeManifest } from '../../image/format/manifest-codec.ts'
import type { Manifest } from '../../image/format/manifest.ts'
import type { BlockFetcher } from './block-fetcher.ts'
import { checkHeader, type DriveCores } from '../drive/drive-cores.ts'
import { notHere } from './fetch-errors.ts'
import { findManifestBlob, versionBefore } from './image-manifest.ts'

/** Blocks that are read to find a manifest among them: a few of a later version may be here without its manifest. */
const MOST_READ = 256

/**
 * As `readManifest`, of what is on this machine: nobody is asked, even where peers are connected and have told that there is
 * a newer version.
 *
 * @throws ContainerError `PEERS_UNREACHABLE` where it is not here, `WRONG_SECRET`, `NOT_FOUND`, `BAD_MANIFEST`,
 *   `UNSUPPORTED_VERSION`
 */
export async function readLocalManifest(
  cores: DriveCores,
  fetcher: BlockFetcher,
  version: number | undefined,
  signal: AbortSignal
): Promise<Manifest> {
  const newest = await newestHere(cores, fetcher, signal)
  if (version === undefined) return newest
  if (version > newest.version) throw notHere(`version ${version} is`)
  return versionBefore(newest, version, (block) => fetcher.read(block, { localOnly: true }))
}

async function newestHere(
  cores: DriveCores,
  fetcher: BlockFetcher,
  signal: AbortSignal
): Promise<Manifest> {
  let read = 0
  for (let block = cores.blobs.length - 1; block >= 0 && read < MOST_READ; block--) {
    if (!fetcher.has(block)) continue
    const manifest = await manifestAt(fetcher, block)
    if (manifest) return manifest
    if (read++ > 0) continue
    await checkSecret(cores.db, signal)
    const listed = await fromEntries(cores.db, fetcher)
    if (listed) return listed
  }
  throw notHere('a version of this image is')
}

/** Undefined for a block that is none, or is damaged. */
async function manifestAt(fetcher: BlockFetcher, block: number): Promise<Manifest | undefined> {
  try {
    const manifest = decodeManifest(await fetcher.read(block, { localOnly: true }))
    return manifest.versions.at(-1)?.blocks === block + 1 ? manifest : undefined
  } catch (error) {
    if (isContainerError(error, 'NOT_AN_IMAGE', 'BAD_BLOCK', 'PEERS_UNREACHABLE')) return undefined
    throw error
  }
}

/** Finds the manifest of a version whose publisher was killed in the next one. */
async function fromEntries(db: Hypercore, fetcher: BlockFetcher): Promise<Manifest | undefined> {
  const local = db.session({ wait: false })
  try {
    await local.ready()
    const blob = await findManifestBlob(local)
    return blob && (await manifestAt(fetcher, blob.blockOffset))
  } catch {
    // Its entries are not all here.
    return undefined
  } finally {
    await local.close()
  }
}

async function checkSecret(db: Hypercore, signal: AbortSignal): Promise<void> {
  if (db.core.bitfield.get(0)) await checkHeader(db, signal)
}
