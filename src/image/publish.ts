import { throwIfCancelled } from './cancel.ts'
import { ChunkCompressors } from './chunk-compressors.ts'
import { ChunkStore } from './chunk-store.ts'
import { ContentPublisher } from './content-publisher.ts'
import { planChunkHashes } from './chunk-hashes.ts'
import { detectArch, detectStart } from './detect-system.ts'
import { compressPart, encodeIndex, isPart, pointerTo } from './index-codec.ts'
import { MANIFEST_FORMAT, MANIFEST_FORMAT_VERSION } from './manifest.ts'
import type { PreviousVersion } from './chunk-store.ts'
import type { ColumnTree } from './column-tree.ts'
import type { BlockSink } from './block-sink.ts'
import type { ContentBatch, ContentSource } from './content-batch.ts'
import type {
  ChunkHashesPointer,
  Manifest,
  PartPointer,
  StartCommand,
  VersionRecord
} from './manifest.ts'
import type { TreeBuilder } from './tree-builder.ts'
import type { DirectoryScan } from './unchanged-files.ts'

/** Something to publish. Content is still to come, and of what streams by, the metadata too. */
export interface PublishSource {
  /** For the manifest: `directory`, `tar`, `oci`, … */
  readonly kind: string
  /** Everything but the content of files, once all of `contents` has gone by. */
  readonly builder: TreeBuilder
  readonly contents: ContentSource
  /** Of a directory, whose files a publisher may recognise again. */
  readonly scan?: DirectoryScan
  /** Estimates for progress, exact for directories; 0 where nobody knows. */
  readonly totalFiles: number
  readonly totalBytes: number
  /** What the source itself says of these, as OCI images do; otherwise they are detected. */
  readonly arch?: string
  readonly start?: Partial<StartCommand>
}

export interface PublishProgress {
  readonly files: number
  readonly totalFiles: number
  /** Content bytes. */
  readonly bytes: number
  readonly totalBytes: number
  /** Stored bytes of this version's distinct chunks so far. */
  readonly storedBytes: number
  /** Stored bytes appended so far; the rest was there already. */
  readonly newBytes: number
}

export interface PublishOptions {
  readonly name: string
  readonly description?: string
  /** Kept in the version's record. */
  readonly message?: string
  /** Overrides what the source says or what is detected. */
  readonly arch?: string
  readonly start?: StartCommand
  /** @default now */
  readonly created?: Date
  /** A version in the same core, whose equal chunks are used again. */
  readonly previous?: PreviousVersion
  /** Its manifest, whose history is continued. */
  readonly previousManifest?: Manifest
  /** Compression threads. @default one a processor, at most 8 */
  readonly threads?: number
  readonly onProgress?: (progress: PublishProgress) => void
  readonly signal?: AbortSignal
}

export interface PublishedImage {
  readonly tree: ColumnTree
  /** Complete; its block must be the next one the caller appends. */
  readonly manifest: Manifest
  /** Files whose content was taken over from the previous version unread. */
  readonly unchangedFiles: number
}

/** Batches between reader and sink, over those that are being compressed. */
const QUEUED_BATCHES = 6
/** Hashes do not compress. */
const HASHES_LEVEL = 1
/**
 * Older ones leave the history, so that a manifest stays a small block: the manifest of the oldest that
 * is left lists them.
 */
const MAX_KEPT_VERSIONS = 64
const MAX_HISTORY_CHARACTERS = 64 * 1024

/**
 * Publishes a source: content first, then the packed index, then the chunk hashes. Memory does not
 * grow with the size of files, only by some tens of bytes a file and a chunk.
 *
 * @throws ContainerError `SOURCE_CHANGED`, `IO`, `CANCELLED`, `BAD_INDEX`, and what the sink throws.
 *   No append is under way any more then; what was appended is nobody's and can be truncated.
 */
export async function publishTree(
  source: PublishSource,
  sink: BlockSink,
  options: PublishOptions
): Promise<PublishedImage> {
  const store = new ChunkStore(options.previous)
  const content = await publishContent(source, sink, store, options)
  throwIfCancelled(options.signal)
  store.addTo(source.builder)
  const tree = source.builder.finish()
  const { previousManifest } = options
  const index = await appendPart(sink, encodeIndex(tree), previousManifest?.index)
  throwIfCancelled(options.signal)
  const hashes = store.hashes()
  const chunkHashes = await appendHashes(sink, hashes, options)
  const blocks = await sink.append([])
  const partBytes = [index, chunkHashes]
    .filter((part) => part !== previousManifest?.index && part !== previousManifest?.chunkHashes)
    .reduce((sum, part) => sum + part.storedBytes, 0)

  const created = (options.created ?? new Date()).toISOString()
  const version = (previousManifest?.version ?? 0) + 1
  const sums = countFiles(tree)
  const record = {
    version,
    // The manifest's own block comes next.
    blocks: blocks + 1,
    created,
    ...(options.message === undefined ? {} : { message: options.message }),
    ...sums,
    newBytes: content.newBytes + partBytes
  }
  // Programs that were not read told their architecture then.
  const known = content.unchangedFiles > 0 ? previousManifest?.arch : undefined
  const history = previousManifest?.versions ?? []
  const manifest: Manifest = {
    format: MANIFEST_FORMAT,
    formatVersion: MANIFEST_FORMAT_VERSION,
    version,
    name: options.name,
    ...(options.description === undefined ? {} : { description: options.description }),
    arch: options.arch ?? source.arch ?? known ?? detectArch(tree, content.archs),
    os: 'linux',
    created,
    source: { kind: source.kind },
    start: options.start ?? { ...detectStart(tree), ...source.start },
    ...sums,
    entries: tree.entryCount,
    storedBytes: store.storedBytes,
    chunks: store.length,
    index,
    chunkHashes,
    versions: recentVersions([...history, record])
  }
  return { tree, manifest, unchangedFiles: content.unchangedFiles }
}

async function publishContent(
  source: PublishSource,
  sink: BlockSink,
  store: ChunkStore,
  { previous, threads, signal, onProgress }: PublishOptions
): Promise<ContentPublisher> {
  await using compressors = new ChunkCompressors(threads, sink.exchange?.layout)
  const content = new ContentPublisher(source.builder, store, compressors, sink, previous?.tree)
  const pending: Promise<void>[] = []
  const report = (): void =>
    onProgress?.({
      files: content.files,
      totalFiles: source.totalFiles,
      bytes: content.bytes,
      totalBytes: source.totalBytes,
      storedBytes: store.storedBytes,
      newBytes: content.newBytes
    })
  const publishBatch = async (batch: ContentBatch): Promise<void> => {
    source.contents.recycle(await content.add(batch))
    report()
    throwIfCancelled(signal)
  }
  try {
    for await (const batch of source.contents.batches(signal)) {
      const done = publishBatch(batch)
      // Awaited below; a rejection meanwhile is not unhandled.
      done.catch(() => {})
      pending.push(done)
      if (pending.length >= compressors.threads + QUEUED_BATCHES) await pending.shift()
    }
    await Promise.all(pending)
  } finally {
    await Promise.allSettled(pending)
  }
  report()
  return content
}

function recentVersions(versions: readonly VersionRecord[]): VersionRecord[] {
  const recent: VersionRecord[] = []
  let characters = 0
  for (const record of versions.slice(-MAX_KEPT_VERSIONS).toReversed()) {
    characters += JSON.stringify(record).length
    // The one before this is what an update is compared with.
    if (recent.length >= 2 && characters > MAX_HISTORY_CHARACTERS) break
    recent.push(record)
  }
  return recent.toReversed()
}

/** Of the tree, as one entry of an archive may replace another. */
function countFiles(tree: ColumnTree): { files: number; bytes: number } {
  let files = 0
  let bytes = 0
  for (let inode = 0; inode < tree.inodeCount; inode++) {
    if (tree.type(inode) !== 'file') continue
    files++
    bytes += tree.size(inode)
  }
  return { files, bytes }
}

async function appendHashes(
  sink: BlockSink,
  hashes: Uint8Array,
  { previous, previousManifest }: PublishOptions
): Promise<ChunkHashesPointer> {
  const before =
    previous && previousManifest
      ? { stored: previous.chunkHashes, pointer: previousManifest.chunkHashes }
      : undefined
  const plan = planChunkHashes(hashes, before)
  if (!('content' in plan)) return plan
  const part = await appendPart(sink, plan.content, undefined, HASHES_LEVEL)
  return plan.base === undefined ? part : { ...part, base: plan.base }
}

/** Appends a part, unless the previous version has an equal one. */
async function appendPart(
  sink: BlockSink,
  bytes: Uint8Array,
  previous: PartPointer | undefined,
  level?: number
): Promise<PartPointer> {
  const blocks = compressPart(bytes, level)
  if (previous !== undefined && isPart(previous, blocks, bytes.length)) return previous
  return pointerTo(blocks, await sink.append(blocks), bytes.length)
}
