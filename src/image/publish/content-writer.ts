import { BlockPacker } from '../chunk/block-packer.ts'
import { elfArch } from './detect-system.ts'
import { CHUNK_HASH_BYTES } from '../tree/content-batch.ts'
import { SlotQueue } from '../chunk/slot-queue.ts'
import type { ChunkCompressors } from '../chunk/chunk-compressors.ts'
import type { ChunkStore } from './chunk-store.ts'
import type { ColumnTree } from '../tree/column-tree.ts'
import type { CompressedBatch } from '../chunk/compress-worker.ts'
import type { ContentBatch } from '../tree/content-batch.ts'
import type { BlockSink } from '../chunk/block-sink.ts'
import type { TreeBuilder } from '../tree/tree-builder.ts'
import type { UnchangedFiles } from '../source/unchanged-files.ts'

/** What became of a batch so far: its new chunks' numbers, in order. */
interface NumberedBatch {
  readonly newChunks: readonly number[]
  readonly wanted: Uint8Array
}

/**
 * Takes batches of content in order: numbers their chunks and gives files their extents at once,
 * then compresses and appends what is new, again in order.
 */
export class ContentWriter {
  /** Stored bytes appended. */
  newBytes = 0
  /** Content bytes of the files that are complete. */
  bytes = 0
  files = 0
  /** Files that were not read, of {@link files}. */
  unchangedFiles = 0
  /** Architectures of the programs that went by, by the number of their first chunk. */
  readonly archs = new Map<number, string>()
  readonly #builder: TreeBuilder
  readonly #store: ChunkStore
  readonly #compressors: ChunkCompressors
  readonly #sink: BlockSink
  readonly #slots: SlotQueue | undefined
  readonly #unchanged: UnchangedFiles | undefined
  /** Those of {@link #unchanged} that were taken over. */
  #takenOver = 0
  /** Extents of the file that is not complete yet. */
  #extents: { position: number; chunk: number; count: number }[] = []
  /** Settles when the last batch's append has been asked for, or will never be. */
  #asked: Promise<void> = Promise.resolve()

  /** @param unchanged files that no batch has, recognised before any batch that comes behind them */
  constructor(
    builder: TreeBuilder,
    store: ChunkStore,
    compressors: ChunkCompressors,
    sink: BlockSink,
    unchanged: UnchangedFiles | undefined
  ) {
    this.#builder = builder
    this.#store = store
    this.#compressors = compressors
    this.#sink = sink
    this.#slots = sink.exchange && new SlotQueue(sink.exchange.layout.slots)
    this.#unchanged = unchanged
  }

  /**
   * Numbers the batch's chunks before it returns. Compression runs beside; appends are asked for in
   * order of the calls.
   *
   * @returns the batch's buffer, free again
   */
  async add(batch: ContentBatch): Promise<ArrayBuffer> {
    const { newChunks, wanted } = this.#number(batch)
    if (newChunks.length === 0) return batch.bytes.buffer as ArrayBuffer
    const before = this.#asked
    let asked = (): void => {}
    this.#asked = new Promise((resolve) => (asked = resolve))
    const slot = await this.#slots?.take()
    try {
      const { bytes, lengths } = batch
      const request = { bytes, lengths, wanted, ...(slot === undefined ? {} : { slot }) }
      const [compressed] = await Promise.all([this.#compressors.compress(request), before])
      const appended = this.#append(compressed, newChunks, slot)
      asked()
      await appended
      return compressed.bytes.buffer as ArrayBuffer
    } finally {
      asked()
      if (slot !== undefined) this.#slots?.give(slot)
    }
  }

  /** Takes over what no batch came after. To be called when there are no more. */
  finish(): void {
    this.#takeOverBefore(Infinity)
  }

  #number(batch: ContentBatch): NumberedBatch {
    const newChunks: number[] = []
    const wanted = new Uint8Array(batch.lengths.length)
    let next = 0
    let offset = 0
    for (const piece of batch.pieces) {
      this.#takeOverBefore(piece.inode)
      if (piece.kind === 'end') {
        this.#builder.setContent(piece.inode, piece.size, this.#extents)
        this.#extents = []
        this.files++
        this.bytes += piece.size
        continue
      }
      for (let i = 0; i < piece.count; i++) {
        const start = next * CHUNK_HASH_BYTES
        const hash = batch.hashes.subarray(start, start + CHUNK_HASH_BYTES)
        const { chunk, isNew } = this.#store.number(hash)
        if (isNew) {
          newChunks.push(chunk)
          wanted[next] = 1
        }
        const position = piece.position + i
        if (position === 0) this.#noteArch(chunk, batch.bytes.subarray(offset))
        this.#addToExtents(position, chunk)
        offset += batch.lengths[next]!
        next++
      }
    }
    return { newChunks, wanted }
  }

  /** In the order of the source, so that its chunks are numbered as if all had been read. */
  #takeOverBefore(end: number): void {
    const files = this.#unchanged
    if (files === undefined) return
    for (; this.#takenOver < files.length; this.#takenOver++) {
      const inode = files.inode(this.#takenOver)
      if (inode >= end) return
      this.#takeOver(inode, files.tree, files.previous(this.#takenOver))
    }
  }

  #takeOver(inode: number, { columns }: ColumnTree, previous: number): void {
    const { extentPosition, extentChunk, extentCount } = columns
    const first = columns.first[previous]!
    for (let extent = first; extent < first + columns.count[previous]!; extent++) {
      for (let i = 0; i < extentCount[extent]!; i++) {
        const chunk = this.#store.reuse(extentChunk[extent]! + i)
        this.#addToExtents(extentPosition[extent]! + i, chunk)
      }
    }
    const size = columns.size[previous]!
    this.#builder.setContent(inode, size, this.#extents)
    this.#builder.setXattrs(inode, columns.xattrSets[columns.xattrSet[previous]!]!)
    this.#extents = []
    this.files++
    this.unchangedFiles++
    this.bytes += size
  }

  #noteArch(chunk: number, content: Uint8Array): void {
    const arch = elfArch(content)
    if (arch !== undefined) this.archs.set(chunk, arch)
  }

  #addToExtents(position: number, chunk: number): void {
    const last = this.#extents.at(-1)
    const continues =
      last !== undefined &&
      last.position + last.count === position &&
      last.chunk + last.count === chunk
    if (continues) last.count++
    else this.#extents.push({ position, chunk, count: 1 })
  }

  async #append(
    { bytes, storedBytes, raw }: CompressedBatch,
    newChunks: readonly number[],
    slot: number | undefined
  ): Promise<void> {
    const packer = new BlockPacker()
    const places = storedBytes.map((length) => packer.add(length))
    const first = await (slot === undefined
      ? this.#sink.append(cut(bytes, packer.lengths))
      : this.#sink.exchange!.appendSlot(slot, packer.lengths))
    for (const [i, chunk] of newChunks.entries()) {
      const { block, offset } = places[i]!
      const length = storedBytes[i]!
      this.#store.place(chunk, { block: first + block, offset, storedBytes: length, raw: raw[i]! })
      this.newBytes += length
    }
  }
}

function cut(bytes: Uint8Array, lengths: readonly number[]): Uint8Array[] {
  let offset = 0
  return lengths.map((length) => bytes.subarray(offset, (offset += length)))
}
