import type { BootProfile } from '../../image/format/boot-profile.ts'
import { withCleanup } from '../../core/cleanup-stack.ts'
import { DirectorySource } from '../../image/source/directory-source.ts'
import type { PublishProgress } from '../../image/publish/publish-options.ts'
import { writeVersion } from '../../image/publish/write-version.ts'
import { republishImage } from '../../image/publish/republish.ts'
import type { DirectoryScan } from '../../image/source/unchanged-files.ts'
import { untilAborted } from '../../core/abort.ts'
import { cachedBlocks } from '../read/block-cache.ts'
import { DaemonClient } from '../connection/client.ts'
import { openHome } from '../../home/home.ts'
import { openSource } from './open-source.ts'
import { ImageReference } from '../../p2p/link.ts'
import { METHODS } from '../../rpc/protocol.ts'
import { writePublishCache } from './publish-cache-file.ts'
import { Upload } from './upload.ts'
import {
  checkNames,
  publishedFacts,
  readPrevious,
  UNNAMED,
  type Published,
  type PublishSourceOptions
} from './publish-source.ts'
import { StoredVersion } from '../open/stored-version.ts'

/** The current step of a profiled publish. */
export type ProfiledStep = 'storing' | 'recording' | 'ordering'

export interface PublishProfiledOptions extends Omit<PublishSourceOptions, 'onProgress'> {
  /**
   * Starts the image of a link, which only this machine has, and tells what that reads.
   *
   * @throws to publish nothing
   */
  readonly record: (link: ImageReference) => Promise<BootProfile>
  readonly onProgress?: (step: ProfiledStep, progress: PublishProgress | undefined) => void
}

export interface PublishedWithProfile extends Published {
  readonly profile: {
    readonly chunks: number
    /** How many of them were read until it was ready. */
    readonly ready: number
    /** Stored bytes of all of them. */
    readonly storedBytes: number
  }
}

/**
 * Publishes with a boot profile. It stores the source as a temporary image, has that started, and publishes the
 * stored content with the recorded chunks first. The temporary image belongs to the connection to the daemon, so
 * it is removed even if this process dies.
 *
 * @throws ContainerError what publishing and recording throw; nothing is left then
 */
export async function publishProfiled(
  options: PublishProfiledOptions
): Promise<PublishedWithProfile> {
  const { update, signal, onProgress, record } = options
  checkNames(options)
  const paths = openHome(options.home)
  using client = await DaemonClient.connect(paths)
  // Whatever is wrong with the update shall be told before all the work.
  const previous = update === undefined ? {} : await readPrevious(client, paths, update)
  const { previousProfile: _replaced, cache: _unused, ...before } = previous
  const { description } = options
  const renamed = options.name === undefined ? {} : { name: options.name }
  const named = {
    name: options.name ?? previous.previousManifest?.name ?? UNNAMED,
    signal,
    ...(description === undefined ? {} : { description })
  }
  const first = await storeSource(client, options, named)
  onProgress?.('recording', undefined)
  const profile = await record(first.link)
  signal.throwIfAborted()

  await using stored = await StoredVersion.open(client, first.link)
  const tree = await stored.reader.tree()
  const { hashes } = await stored.reader.chunkHashes()
  const readBlock = cachedBlocks((block) => stored.block(block))
  const publish = await Upload.begin(client, {
    ...(update === undefined ? { name: named.name } : { update, ...renamed })
  })
  const published = await republishImage(
    { manifest: stored.manifest, tree, hashes, readBlock },
    profile,
    publish,
    {
      ...named,
      ...before,
      ...(options.message === undefined ? {} : { message: options.message }),
      onProgress: (progress) => onProgress?.('ordering', progress)
    }
  )
  const { manifest } = published
  const committed = await untilAborted(publish.commit(manifest), signal)
  if (first.scan) await writePublishCache(paths, publish.key, published, first.scan)
  await stored[Symbol.asyncDispose]()
  await client.request(METHODS.forget, { image: first.link, force: true })
  const { storedBytes } = tree.chunks
  return {
    ...committed,
    ...publishedFacts(manifest, 0),
    profile: {
      chunks: profile.chunks.length,
      ready: profile.ready,
      storedBytes: profile.chunks.reduce((sum, chunk) => sum + (storedBytes[chunk] ?? 0), 0)
    }
  }
}

/** Stores the source as an image of its own, which goes with the connection. */
function storeSource(
  client: DaemonClient,
  options: PublishProfiledOptions,
  named: { readonly name: string; readonly signal: AbortSignal }
): Promise<{ link: ImageReference; scan: DirectoryScan | undefined }> {
  return withCleanup(async (cleanup) => {
    const source = await openSource(options, cleanup)
    const { update } = options
    const name = update === undefined ? { name: named.name } : {}
    const publish = await Upload.begin(client, { temporary: true, ...name })
    const { manifest } = await writeVersion(source, publish, {
      ...named,
      onProgress: (progress) => options.onProgress?.('storing', progress)
    })
    const { link } = await untilAborted(publish.commit(manifest), named.signal)
    return {
      link: ImageReference.parse(link),
      scan: source instanceof DirectorySource ? source.scan : undefined
    }
  })
}
