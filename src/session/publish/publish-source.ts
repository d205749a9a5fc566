import { withCleanup } from '../../core/cleanup-stack.ts'
import type { ColumnTree } from '../../image/tree/column-tree.ts'
import { DirectorySource } from '../../image/source/directory-source.ts'
import { ChunkCompressors } from '../../image/chunk/chunk-compressors.ts'
import { checkImageName, checkLine } from '../../image/format/image-name.ts'
import { isContainerError } from '../../core/errors.ts'
import { decodeIndex } from '../../image/format/index-codec.ts'
import type { Manifest } from '../../image/format/manifest.ts'
import type { PublishCache } from '../../image/publish/publish-cache.ts'
import { placeProfile, type PlacedProfile } from '../../image/format/profile-places.ts'
import type { PublishOptions, PublishProgress } from '../../image/publish/publish-options.ts'
import { writeVersion } from '../../image/publish/write-version.ts'
import type { PublishSource } from '../../image/source/publish-source.ts'
import { UnchangedFiles } from '../../image/source/unchanged-files.ts'
import { untilAborted } from '../../core/abort.ts'
import { DaemonClient } from '../connection/client.ts'
import { openHome, type HomePaths } from '../../home/home.ts'
import { openSource, type OpenSourceOptions } from './open-source.ts'
import { isOf, readPublishCache, writePublishCache } from './publish-cache-file.ts'
import type { ImageReference } from '../../p2p/link.ts'
import { METHODS, type PublishCommitResponse } from '../../rpc/protocol.ts'
import { Upload } from './upload.ts'
import { StoredVersion } from '../open/stored-version.ts'

export const UNNAMED = 'rootfs'

export interface PublishSourceOptions extends OpenSourceOptions {
  readonly home: string
  /** @default the name of the image that is updated */
  readonly name?: string
  readonly description?: string
  /** The image to add a version to. */
  readonly update?: ImageReference
  readonly message?: string
  /** Read files of a directory that have not changed since the last publish, too. @default false */
  readonly checksum?: boolean
  /** Aborting leaves nothing of the publish. */
  readonly signal: AbortSignal
  readonly onProgress?: (progress: PublishProgress) => void
}

type PreviousVersions = Pick<
  PublishOptions,
  'previous' | 'previousManifest' | 'previousProfile'
> & {
  /** The cache of the previous publish. */
  readonly cache?: PublishCache
}

/** The result of a publish, as `share` prints it. */
export interface Published extends PublishCommitResponse {
  readonly name: string
  readonly version: number
  readonly files: number
  readonly bytes: number
  readonly storedBytes: number
  /** Stored bytes that this publish added. */
  readonly newBytes: number
  /** Files whose content was read, and those that were known to be as in the version before. */
  readonly filesRead: number
  readonly filesReused: number
}

/**
 * Publishes a directory, an archive or a container image through the home's daemon. The source is read here, with the caller's
 * rights; a process that dies, or is interrupted, leaves nothing half-made.
 *
 * @throws ContainerError `NOT_FOUND`, `BAD_SOURCE`, `SOURCE_CHANGED`, `IO`, `DISK_FULL`, `CANCELLED`,
 *   `DAEMON_UNREACHABLE`, `MISSING_TOOL`, `USAGE`, `NAME_IN_USE`
 */
export async function publishSource(options: PublishSourceOptions): Promise<Published> {
  checkNames(options)
  return withCleanup(async (cleanup) => {
    const paths = openHome(options.home)
    // While the daemon starts and finds the version before, the source is scanned.
    const connecting = connect(paths, options)
    // A source may be long: it is read no further when that has failed.
    const failed = new AbortController()
    connecting.catch(() => failed.abort())
    cleanup.defer(() =>
      connecting.then(
        ({ client }) => client[Symbol.dispose](),
        () => {}
      )
    )
    // Threads take a while to start, and one mostly suffices for an update: most of its files are not read.
    const atOnce = options.update === undefined ? undefined : 1
    const compressors = new ChunkCompressors(undefined, atOnce)
    cleanup.defer(() => compressors[Symbol.asyncDispose]())
    // Most files of an update are not read, which only the version before can tell.
    const recognised = options.update === undefined ? {} : { recognised: connecting }
    const signal = AbortSignal.any([options.signal, failed.signal])
    const opening = openSource({ ...options, ...recognised, signal, home: paths.home }, cleanup)
    const source = await opening.catch(async (error: unknown) => {
      if (failed.signal.aborted) await connecting
      throw error
    })
    return await publishOpened(source, { ...(await connecting), compressors, paths }, options)
  })
}

interface Connected {
  readonly client: DaemonClient
  readonly previous: PreviousVersions
  /** Begun while the source is scanned. */
  readonly publish: Upload
}

interface Opened extends Connected {
  readonly compressors: ChunkCompressors
  readonly paths: HomePaths
}

/** Checks the name, description and message of a publish. @throws ContainerError `USAGE` */
export function checkNames({
  name,
  description,
  message
}: Pick<PublishSourceOptions, 'name' | 'description' | 'message'>): void {
  if (name !== undefined) checkImageName(name)
  if (description !== undefined) checkLine('the description', description)
  if (message !== undefined) checkLine('the message', message)
}

async function connect(
  paths: HomePaths,
  { update, name }: Pick<PublishSourceOptions, 'update' | 'name'>
): Promise<Connected> {
  const client = await DaemonClient.connect(paths)
  try {
    if (update === undefined) {
      // It is told before all the work.
      const publish = await Upload.begin(client, { name: name ?? UNNAMED })
      return { client, previous: {}, publish }
    }
    const previous = await readPrevious(client, paths, update)
    const renamed = name === undefined ? {} : { name }
    return { client, previous, publish: await Upload.begin(client, { update, ...renamed }) }
  } catch (error) {
    client[Symbol.dispose]()
    throw error
  }
}

async function publishOpened(
  source: PublishSource,
  { previous, publish, compressors, paths }: Opened,
  options: PublishSourceOptions
): Promise<Published> {
  const { signal } = options
  const imageName = options.name ?? previous.previousManifest?.name ?? UNNAMED
  const scanned = source instanceof DirectorySource ? source : undefined
  const { cache, ...versions } = previous
  if (scanned && cache && isOf(cache, scanned.directory) && !options.checksum) {
    scanned.recognise(new UnchangedFiles(cache.records, cache.tree))
  }
  const published = await writeVersion(source, publish, {
    name: imageName,
    signal,
    compressors,
    ...versions,
    ...(options.description === undefined ? {} : { description: options.description }),
    ...(options.message === undefined ? {} : { message: options.message }),
    ...(options.onProgress ? { onProgress: options.onProgress } : {})
  })
  const { manifest, unchangedFiles } = published
  const committing = untilAborted(publish.commit(manifest), signal)
  // Beside the commit; of no use and no harm where that fails, as it is bound to this version's index.
  const scan = scanned?.scan
  const recording = scan && writePublishCache(paths, publish.key, published, scan)
  recording?.catch(() => {})
  try {
    const committed = await committing
    return { ...committed, ...publishedFacts(manifest, unchangedFiles) }
  } finally {
    await recording
  }
}

/** Collects what `share` prints about a version. */
export function publishedFacts(
  { name, version, files, bytes, storedBytes, versions }: Manifest,
  unchangedFiles: number
): Omit<Published, keyof PublishCommitResponse> {
  const newBytes = versions.at(-1)?.newBytes ?? 0
  return {
    name,
    version,
    files,
    bytes,
    storedBytes,
    newBytes,
    filesRead: files - unchangedFiles,
    filesReused: unchangedFiles
  }
}

/**
 * Reads the newest version of an image of this machine, whose chunks an update can use.
 *
 * @throws ContainerError `NOT_FOUND`, `BAD_INDEX`
 */
export async function readPrevious(
  client: DaemonClient,
  paths: HomePaths,
  image: ImageReference
): Promise<PreviousVersions> {
  await client.request(METHODS.prepareUpdate, { image })
  await using stored = await StoredVersion.open(client, image)
  const { manifest } = stored
  const [index, chunkHashes, cache] = await Promise.all([
    stored.reader.index(),
    stored.reader.chunkHashes(),
    readPublishCache(paths, stored.key, manifest)
  ])
  const tree = cache?.tree ?? decodeIndex(index.packed)
  const previousProfile = await readProfile(stored, tree)
  return {
    previous: { tree, index, chunkHashes },
    previousManifest: manifest,
    ...(cache && { cache }),
    ...(previousProfile && { previousProfile })
  }
}

async function readProfile(
  stored: StoredVersion,
  tree: ColumnTree
): Promise<PlacedProfile | undefined> {
  try {
    const profile = await stored.reader.profile(tree.chunks.length)
    return profile && placeProfile(tree, profile)
  } catch (error) {
    // A version goes without one rather than not at all.
    if (isContainerError(error, 'BAD_INDEX')) return undefined
    throw error
  }
}
