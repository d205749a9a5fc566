import Hyperbee from 'hyperbee'
import type Hypercore from 'hypercore'
import type { BlobId } from 'hyperdrive'
import { ContainerError, isContainerError } from '../../core/errors.ts'
import { decodeManifest } from '../../image/format/manifest-codec.ts'
import { MANIFEST_PATH, type Manifest, type VersionRecord } from '../../image/format/manifest.ts'
import type { BlockFetcher } from './block-fetcher.ts'
import { checkHeader, type DriveCores } from '../drive/drive-cores.ts'
import { pause, untilAborted } from '../../core/abort.ts'

/** Lists of versions that are gone through for an old one: more than honest publishers fill. */
const MAX_HOPS = 1_000
/** Where a Hyperdrive keeps its entries inside its bee. */
const ENTRIES_SUB = 'files'

/**
 * How long the last block may take before the entries are asked as well: nobody has it where a
 * publisher was killed while it undid an update.
 */
const LAST_BLOCK_WAIT_MS = 1_000

/**
 * The manifest of one version, or of the newest one. A publish appends the manifest's block last, so
 * it is the last block of the blobs log: one request, no walk through the bee. Only where a publisher
 * is in the middle of an update, or never ended one, must the bee tell which version was completed
 * last.
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
  // A manifest that decodes needs no header to tell that the secret is right, and a peer that has
  // the content may not have the header yet.
  header.catch(() => {})
  const newest = await fetchNewest(cores, fetcher, header, signal)
  if (version === undefined) return newest
  return versionBefore(newest, version, (block) => fetcher.read(block, { signal }))
}

/**
 * The manifest of a version, found by those that come after it.
 *
 * @param read gives a block of the content
 * @throws ContainerError `NOT_FOUND` for a version that was never published, `BAD_MANIFEST`; what reading throws
 */
export async function versionBefore(
  newest: Manifest,
  version: number,
  read: (block: number) => Promise<Uint8Array>
): Promise<Manifest> {
  if (version === newest.version) return newest
  let record = recordOf(newest, version)
  // A manifest lists recent versions; the oldest of them lists those before it.
  for (let from = newest, hops = 0; !record; record = recordOf(from, version), hops++) {
    const [oldest] = from.versions
    const goesBack = oldest && version < oldest.version && oldest.version < from.version
    if (goesBack && hops < MAX_HOPS) {
      from = await manifestOf(oldest, read)
      continue
    }
    throw new ContainerError('NOT_FOUND', `this image has no version ${version}`, {
      hint: `its newest version is ${newest.version}; \`info\` lists them all`
    })
  }
  return manifestOf(record, read)
}

async function fetchNewest(
  cores: DriveCores,
  fetcher: BlockFetcher,
  header: Promise<void>,
  signal: AbortSignal
): Promise<Manifest> {
  const enough = new AbortController()
  const until = AbortSignal.any([signal, enough.signal])
  const reading = fetcher.read(cores.blobs.length - 1, { signal: until })
  const last = parsed(reading, header)
  try {
    const soon = await Promise.race([last, pause(LAST_BLOCK_WAIT_MS, until).then(() => 'late')])
    if (typeof soon === 'object') return soon
    const fromEntries = header.then(() => manifestFromEntries(cores, fetcher, until))
    if (soon === undefined) return await fromEntries
    // Either is right; the entries never tell of a version before it is complete.
    return await Promise.any([fromEntries, last.then((manifest) => manifest ?? fromEntries)])
  } catch (error) {
    throw error instanceof AggregateError ? error.errors[0] : error
  } finally {
    enough.abort()
    last.catch(() => {})
  }
}

function recordOf({ versions }: Manifest, version: number): VersionRecord | undefined {
  return versions.find((candidate) => candidate.version === version)
}

async function manifestOf(
  { version, blocks }: VersionRecord,
  read: (block: number) => Promise<Uint8Array>
): Promise<Manifest> {
  const manifest = decodeManifest(await read(blocks - 1))
  if (manifest.version !== version) {
    throw new ContainerError('BAD_MANIFEST', `version ${version} of this image is damaged`)
  }
  return manifest
}

/** Undefined for a block that is no manifest; once the header has shown that it is not read wrongly. */
async function parsed(
  reading: Promise<Uint8Array>,
  header: Promise<void>
): Promise<Manifest | undefined> {
  const block = await reading
  try {
    return decodeManifest(block)
  } catch (error) {
    await header
    if (isContainerError(error, 'NOT_AN_IMAGE')) return undefined
    throw error
  }
}

async function manifestFromEntries(
  cores: DriveCores,
  fetcher: BlockFetcher,
  signal: AbortSignal
): Promise<Manifest> {
  const blob = await untilAborted(findManifestBlob(cores.db), signal)
  if (!blob || blob.blockLength !== 1 || blob.blockOffset >= cores.blobs.length) {
    throw new ContainerError('NOT_AN_IMAGE', `this drive holds no container image`, {
      hint: `an image has a ${MANIFEST_PATH.slice(1)}; publish one with \`share\``
    })
  }
  return decodeManifest(await fetcher.read(blob.blockOffset, { signal }))
}

/** Where the entries say that the manifest of the version is that was completed last. */
export async function findManifestBlob(db: Hypercore): Promise<BlobId | undefined> {
  const bee = new Hyperbee(db, { keyEncoding: 'utf-8', valueEncoding: 'json' })
  const node = await bee.sub(ENTRIES_SUB).get(MANIFEST_PATH)
  return node?.value.blob ?? undefined
}
