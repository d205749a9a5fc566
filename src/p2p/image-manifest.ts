import Hyperbee from 'hyperbee'
import type Hypercore from 'hypercore'
import type { BlobId } from 'hyperdrive'
import { ContainerError, isContainerError } from '../image/errors.ts'
import { decodeManifest } from '../image/manifest-codec.ts'
import { MANIFEST_PATH, type Manifest } from '../image/manifest.ts'
import type { BlockFetcher } from './block-fetcher.ts'
import { checkHeader, type DriveCores } from './drive-cores.ts'
import { untilAborted } from './waiting.ts'

/** Where a Hyperdrive keeps its entries inside its bee. */
const ENTRIES_SUB = 'files'

/**
 * The manifest of one version, or of the newest one. A publish appends the manifest's block last, so
 * it is the last block of the blobs log: one request, no walk through the bee. Only while a publisher
 * is in the middle of an update must the bee tell which version was completed last.
 *
 * @throws ContainerError `WRONG_SECRET`, `NOT_AN_IMAGE`, `UNSUPPORTED_VERSION`, `BAD_MANIFEST`,
 *   `NOT_FOUND` for a version that was never published; the signal's reason
 */
export async function readManifest(
  cores: DriveCores,
  fetcher: BlockFetcher,
  version: number | undefined,
  signal: AbortSignal
): Promise<Manifest> {
  const header = checkHeader(cores.db, signal)
  const last = fetcher.read(cores.blobs.length - 1, { signal })
  last.catch(() => {})
  await header
  const newest = parseOrUndefined(await last) ?? (await manifestFromEntries(cores, fetcher, signal))
  if (version === undefined || version === newest.version) return newest
  const record = newest.versions.find((candidate) => candidate.version === version)
  if (!record) {
    throw new ContainerError('NOT_FOUND', `this image has no version ${version}`, {
      hint: `its newest version is ${newest.version}; \`info\` lists them all`
    })
  }
  const older = decodeManifest(await fetcher.read(record.blocks - 1, { signal }))
  if (older.version !== version) {
    throw new ContainerError('BAD_MANIFEST', `version ${version} of this image is damaged`)
  }
  return older
}

function parseOrUndefined(block: Uint8Array): Manifest | undefined {
  try {
    return decodeManifest(block)
  } catch (error) {
    if (isContainerError(error, 'NOT_AN_IMAGE')) return undefined
    throw error
  }
}

async function manifestFromEntries(
  cores: DriveCores,
  fetcher: BlockFetcher,
  signal: AbortSignal
): Promise<Manifest> {
  const blob = await untilAborted(findBlob(cores.db, MANIFEST_PATH), signal)
  if (!blob || blob.blockLength !== 1 || blob.blockOffset >= cores.blobs.length) {
    throw new ContainerError('NOT_AN_IMAGE', `this drive holds no container image`, {
      hint: `an image has a ${MANIFEST_PATH.slice(1)}; publish one with \`share\``
    })
  }
  return decodeManifest(await fetcher.read(blob.blockOffset, { signal }))
}

async function findBlob(db: Hypercore, path: string): Promise<BlobId | undefined> {
  const bee = new Hyperbee(db, { keyEncoding: 'utf-8', valueEncoding: 'json' })
  const node = await bee.sub(ENTRIES_SUB).get(path)
  return node?.value.blob ?? undefined
}
