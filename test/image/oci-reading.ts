import { withCleanup } from '../../src/core/cleanup-stack.ts'
import { DirectoryBlobs } from '../../src/image/oci/blob-store.ts'
import { findImage } from '../../src/image/oci/find-image.ts'
import { openLayers } from '../../src/image/oci/layered-source.ts'
import { openArchive } from '../../src/image/oci/open-archive.ts'
import { isContainerError } from '../../src/core/errors.ts'
import { writeVersion } from '../../src/image/publish/write-version.ts'
import type { ChunkReader } from '../../src/image/chunk/chunk-reader.ts'
import type { Manifest } from '../../src/image/format/manifest.ts'
import type { OpenArchiveOptions } from '../../src/image/oci/open-archive.ts'
import type { ChooseOptions } from '../../src/image/oci/oci-layout.ts'
import type { PublishSource } from '../../src/image/source/publish-source.ts'
import type { Tree } from '../../src/image/tree/tree.ts'
import { MemoryStore } from './memory-store.ts'
import { treeLines } from './tree-lines.ts'

/** What publishing a source made of it. */
export interface Read {
  readonly lines: readonly string[]
  readonly manifest: Manifest
  readonly tree: Tree
  readonly chunks: ChunkReader
  /** Bytes that it stored. */
  readonly storedBytes: number
}

export async function publish(source: PublishSource, created?: Date): Promise<Read> {
  const store = new MemoryStore()
  const options = { name: 'test image', threads: 1, ...(created === undefined ? {} : { created }) }
  const { tree, manifest } = await writeVersion(source, store, options)
  const chunks = store.reader(tree)
  const storedBytes = store.blocks.reduce((sum, { length }) => sum + length, 0)
  return { lines: await treeLines(tree, chunks), manifest, tree, chunks, storedBytes }
}

export async function readLayout(path: string, options: ChooseOptions = {}): Promise<Read> {
  return publish(await openLayers(await findImage(new DirectoryBlobs(path), options)))
}

export async function readArchive(path: string, options: OpenArchiveOptions = {}): Promise<Read> {
  return withCleanup(async (cleanup) => publish(await openArchive(path, options, cleanup)))
}

/** The one line that a source is refused with, its code first and its hint last. */
export async function refusalOf(reading: Promise<unknown>): Promise<string> {
  const error = await reading.then(
    () => undefined,
    (thrown: unknown) => thrown
  )
  if (error === undefined) return 'not refused'
  if (!isContainerError(error) || error.message.includes('\n')) throw error
  return `${error.code} ${error.message} (${error.hint ?? ''})`
}
