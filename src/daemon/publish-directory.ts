import { scanDirectory } from '../image/directory-source.ts'
import { decompressPart, decodeIndex, MAX_INDEX_BYTES } from '../image/index-codec.ts'
import { publishTree, type PublishOptions, type PublishProgress } from '../image/publish.ts'
import { untilAborted } from '../p2p/waiting.ts'
import { DaemonClient } from './client.ts'
import { openHome } from './home.ts'
import { METHODS } from './protocol.ts'
import { RemotePublish } from './publish-client.ts'

export interface PublishDirectoryOptions {
  readonly home: string
  readonly path: string
  readonly name: string
  readonly description?: string
  /** Link or name of the image to add a version to. */
  readonly update?: string
  readonly message?: string
  /** Patterns of paths to leave out. */
  readonly exclude?: string[]
  readonly oneFileSystem?: boolean
  /** Aborting leaves nothing of the publish. */
  readonly signal: AbortSignal
  readonly onProgress?: (progress: PublishProgress) => void
}

/** What `share` tells of a completed publish. */
export interface Published {
  readonly link: string
  readonly mirrorLink: string
  readonly key: string
  readonly name: string
  readonly version: number
  readonly files: number
  readonly bytes: number
  readonly storedBytes: number
  /** Stored bytes that this publish added. */
  readonly newBytes: number
}

/**
 * Publishes a directory through the home's daemon. The source is read here, with the caller's
 * rights; a process that dies, or is interrupted, leaves nothing half-made.
 *
 * @throws ContainerError `NOT_FOUND`, `BAD_SOURCE`, `SOURCE_CHANGED`, `IO`, `DISK_FULL`, `CANCELLED`,
 *   `DAEMON_UNREACHABLE`
 */
export async function publishDirectory(options: PublishDirectoryOptions): Promise<Published> {
  const { signal } = options
  const source = await scanDirectory(options.path, {
    signal,
    ...(options.exclude ? { exclude: options.exclude } : {}),
    ...(options.oneFileSystem ? { oneFileSystem: true } : {})
  })
  using client = await DaemonClient.connect(openHome(options.home))
  const previous = options.update === undefined ? {} : await readPrevious(client, options.update)
  const publish = await RemotePublish.begin(client, options.update)
  const { manifest } = await publishTree(source, publish, {
    name: options.name,
    signal,
    ...previous,
    ...(options.description === undefined ? {} : { description: options.description }),
    ...(options.message === undefined ? {} : { message: options.message }),
    ...(options.onProgress ? { onProgress: options.onProgress } : {})
  })
  const committed = await untilAborted(publish.commit(manifest), signal)
  const { name, version, files, bytes, storedBytes, versions } = manifest
  const newBytes = versions.at(-1)?.newBytes ?? 0
  return { ...committed, name, version, files, bytes, storedBytes, newBytes }
}

/** The newest version of an image of this machine, whose chunks can be used again. */
async function readPrevious(
  client: DaemonClient,
  image: string
): Promise<Pick<PublishOptions, 'previous' | 'previousManifest'>> {
  const { handle, manifest } = await client.request(METHODS.open, {
    image,
    peerTimeoutMs: 0,
    offline: true
  })
  const part = async (pointer: typeof manifest.index): Promise<Buffer> => {
    const blocks: Buffer[] = []
    for (let n = 0; n < pointer.blocks; n++) {
      blocks.push(await client.request(METHODS.block, { handle, block: pointer.block + n }))
    }
    return decompressPart(blocks, pointer, MAX_INDEX_BYTES)
  }
  const tree = decodeIndex(await part(manifest.index))
  const chunkHashes = await part(manifest.chunkHashes)
  await client.request(METHODS.close, { handle })
  return { previous: { tree, chunkHashes }, previousManifest: manifest }
}
