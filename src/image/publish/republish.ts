import { BlockPacker } from '../chunk/block-packer.ts'
import type { BlockSink } from '../chunk/block-sink.ts'
import type { BootProfile } from '../format/boot-profile.ts'
import { throwIfCancelled } from '../../core/cancel.ts'
import { ChunkStore } from './chunk-store.ts'
import type { ColumnTree } from '../tree/column-tree.ts'
import { writeManifest } from './write-manifest.ts'
import { BATCH_BYTES, CHUNK_HASH_BYTES } from '../tree/content-batch.ts'
import type { Manifest } from '../format/manifest.ts'
import type { PublishOptions } from './publish-options.ts'
import type { WrittenVersion } from './write-version.ts'
import { storedChunk } from '../chunk/stored-chunk.ts'
import { badIndex } from '../tree/tree-limits.ts'

/** A published image whose blocks can be read. */
export interface StoredImage {
  readonly manifest: Manifest
  readonly tree: ColumnTree
  /** `CHUNK_HASH_BYTES` a chunk. */
  readonly hashes: Uint8Array
  readBlock(block: number): Promise<Uint8Array>
}

export type RepublishOptions = Omit<
  PublishOptions,
  'arch' | 'start' | 'threads' | 'previousProfile'
>

/** Runs of blocks that are read and appended at the same time. */
const PARALLEL_RUNS = 4

/**
 * Publishes an image again, as stored, with the chunks of its profile first and next to each other:
 * a start then reads one run of blocks. Nothing is decompressed.
 *
 * @param options.previous has chunks that stay where they are
 * @throws ContainerError `BAD_INDEX` when the image's hashes are not its chunks', `CANCELLED`, and
 *   what reading and the sink throw
 */
export async function republishImage(
  image: StoredImage,
  profile: BootProfile,
  sink: BlockSink,
  options: RepublishOptions
): Promise<WrittenVersion> {
  const { manifest: first, tree: source } = image
  const store = new ChunkStore(options.previous)
  const isNew = numberChunks(image, store)
  const order = [...new Set([...profile.chunks, ...byBlock(source)])].filter(
    (chunk) => isNew[chunk] === 1
  )
  const copied = { chunks: 0, bytes: 0 }
  const copy = async (run: readonly number[], before: Promise<unknown>): Promise<void> => {
    const stored = await Promise.all(run.map((chunk) => readStored(image, chunk)))
    const packer = new BlockPacker()
    const places = stored.map(({ length }) => packer.add(length))
    await before
    throwIfCancelled(options.signal)
    const start = await sink.append(joined(stored, packer.lengths))
    for (const [n, chunk] of run.entries()) {
      const { block, offset } = places[n]!
      const storedBytes = stored[n]!.length
      const raw = source.chunks.raw[chunk] === 1
      store.place(chunk, { block: start + block, offset, storedBytes, raw })
      copied.bytes += storedBytes
    }
    copied.chunks += run.length
    options.onProgress?.({
      files: first.files,
      totalFiles: first.files,
      bytes: copied.bytes,
      totalBytes: first.storedBytes,
      storedBytes: store.storedBytes,
      newBytes: copied.bytes
    })
  }
  const pending: Promise<void>[] = []
  try {
    for (const run of runsOf(source, order)) {
      // Appended in order: each after the one before, while the next are read.
      const done = copy(run, pending.at(-1) ?? Promise.resolve())
      done.catch(() => {})
      pending.push(done)
      if (pending.length > PARALLEL_RUNS) await pending.shift()
    }
    await Promise.all(pending)
  } finally {
    await Promise.allSettled(pending)
  }
  const tree = source.withChunks(store.chunkTable())
  const facts = {
    kind: first.source.kind,
    arch: first.arch,
    start: first.start,
    newBytes: copied.bytes,
    profile
  }
  const manifest = await writeManifest(sink, tree, store, facts, options)
  return { tree, manifest, unchangedFiles: 0 }
}

/** @returns 1 for each chunk that no previous version has */
function numberChunks({ tree, hashes }: StoredImage, store: ChunkStore): Uint8Array {
  const { length } = tree.chunks
  if (hashes.length !== length * CHUNK_HASH_BYTES) throw badIndex('its chunk hashes do not fit')
  const isNew = new Uint8Array(length)
  for (let chunk = 0; chunk < length; chunk++) {
    const start = chunk * CHUNK_HASH_BYTES
    const numbered = store.number(hashes.subarray(start, start + CHUNK_HASH_BYTES))
    if (numbered.chunk !== chunk) throw badIndex('two of its chunks are equal')
    isNew[chunk] = numbered.isNew ? 1 : 0
  }
  return isNew
}

async function readStored(image: StoredImage, chunk: number): Promise<Uint8Array> {
  const block = await image.readBlock(image.tree.chunks.block[chunk] ?? 0)
  return storedChunk(image.tree, chunk, block)
}

/** Stored chunks that follow each other as blocks of these lengths. */
function joined(stored: readonly Uint8Array[], lengths: readonly number[]): Uint8Array[] {
  const all = Buffer.concat(stored)
  let end = 0
  return lengths.map((length) => all.subarray(end, (end += length)))
}

/** All chunks in the order in which they are stored. */
function byBlock({ chunks }: ColumnTree): Uint32Array {
  const { block, offset } = chunks
  return Uint32Array.from({ length: chunks.length }, (_, chunk) => chunk).sort(
    (one, other) => block[one]! - block[other]! || offset[one]! - offset[other]!
  )
}

function* runsOf(
  { chunks }: ColumnTree,
  order: readonly number[]
): Generator<number[], void, undefined> {
  let run: number[] = []
  let bytes = 0
  for (const chunk of order) {
    const next = chunks.storedBytes[chunk] ?? 0
    if (run.length > 0 && bytes + next > BATCH_BYTES) {
      yield run
      run = []
      bytes = 0
    }
    run.push(chunk)
    bytes += next
  }
  if (run.length > 0) yield run
}
