import { throwIfCancelled } from '../../core/cancel.ts'
import { ChunkCompressors } from '../chunk/chunk-compressors.ts'
import { ChunkStore } from './chunk-store.ts'
import { ContentWriter } from './content-writer.ts'
import { writeManifest } from './write-manifest.ts'
import { detectArch, detectStart } from './detect-system.ts'
import { chunksAtPlaces } from '../format/profile-places.ts'
import type { ColumnTree } from '../tree/column-tree.ts'
import type { BlockSink } from '../chunk/block-sink.ts'
import type { ContentBatch } from '../tree/content-batch.ts'
import type { Manifest } from '../format/manifest.ts'
import type { PublishSource } from '../source/publish-source.ts'
import type { PublishOptions } from './publish-options.ts'

export interface WrittenVersion {
  readonly tree: ColumnTree
  /** Complete; its block must be the next one the caller appends. */
  readonly manifest: Manifest
  /** Files whose content was taken over from the previous version unread. */
  readonly unchangedFiles: number
}

/** Batches between reader and sink, over those that are being compressed. */
const QUEUED_BATCHES = 6
/**
 * Publishes a source: content first, then what {@link writeManifest} appends. Memory does not
 * grow with the size of files, only by some tens of bytes a file and a chunk.
 *
 * @throws ContainerError `SOURCE_CHANGED`, `IO`, `CANCELLED`, `BAD_INDEX`, and what the sink throws.
 *   No append is under way any more then; what was appended is nobody's and can be truncated.
 */
export async function writeVersion(
  source: PublishSource,
  sink: BlockSink,
  options: PublishOptions
): Promise<WrittenVersion> {
  const store = new ChunkStore(options.previous)
  const content = await publishContent(source, sink, store, options)
  throwIfCancelled(options.signal)
  source.builder.addChunks(store.chunkTable())
  const tree = source.builder.finish()
  // Programs that were not read told their architecture then.
  const known = content.unchangedFiles > 0 ? options.previousManifest?.arch : undefined
  const { previousProfile } = options
  const facts = {
    kind: source.kind,
    arch: options.arch ?? source.arch ?? known ?? detectArch(tree, content.archs),
    start: options.start ?? { ...detectStart(tree), ...source.start },
    newBytes: content.newBytes,
    ...(previousProfile && { profile: chunksAtPlaces(tree, previousProfile) })
  }
  const manifest = await writeManifest(sink, tree, store, facts, options)
  return { tree, manifest, unchangedFiles: content.unchangedFiles }
}

async function publishContent(
  source: PublishSource,
  sink: BlockSink,
  store: ChunkStore,
  { threads, compressors: started, signal, onProgress }: PublishOptions
): Promise<ContentWriter> {
  await using own = started ? undefined : new ChunkCompressors(threads)
  const compressors = (started ?? own)!
  if (sink.exchange) compressors.useExchange(sink.exchange.layout)
  const { builder, unchanged } = source
  const content = new ContentWriter(builder, store, compressors, sink, unchanged)
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
    content.finish()
  } finally {
    await Promise.allSettled(pending)
  }
  report()
  return content
}
