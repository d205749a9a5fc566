import { ChunkHashTable } from '../format/chunk-hash-table.ts'
import { bytesColumn, wordColumn } from '../../core/growing-column.ts'
import { CHUNK_HASH_BYTES } from '../tree/content-batch.ts'
import { badIndex } from '../tree/tree-limits.ts'
import type { ChunkHashes } from '../format/chunk-hashes.ts'
import type { StoredIndex } from '../format/index-part.ts'
import type { ColumnTree } from '../tree/column-tree.ts'
import type { ChunkTable } from '../tree/tree.ts'

/** A published version whose blocks may be used again. */
export interface PreviousVersion {
  readonly tree: ColumnTree
  readonly chunkHashes: ChunkHashes
  readonly index: StoredIndex
}

/** Where and how a chunk is stored; see {@link ChunkTable}. */
export interface StoredPlace {
  readonly block: number
  readonly offset: number
  readonly storedBytes: number
  readonly raw: boolean
}

/** Numbers the distinct chunks of a version and remembers where each is stored. */
export class ChunkStore {
  /** Stored bytes of all chunks whose place is known. */
  storedBytes = 0
  readonly #table = new ChunkHashTable()
  readonly #previous: PreviousVersion | undefined
  /** Made when it is needed: where nothing changed, nothing is looked up. */
  #previousTable: ChunkHashTable | undefined
  /** By chunk of the previous version: its number here plus one; 0 until it is known. */
  readonly #reused: Uint32Array
  readonly #block = wordColumn()
  readonly #offset = wordColumn()
  readonly #storedBytes = wordColumn()
  readonly #raw = bytesColumn()

  /** @throws ContainerError `BAD_INDEX` when the previous version's hashes are not its chunks' */
  constructor(previous: PreviousVersion | undefined) {
    this.#previous = previous
    this.#reused = new Uint32Array(previous?.tree.chunks.length ?? 0)
    if (previous === undefined) return
    const { tree } = previous
    const chunkHashes = previous.chunkHashes.hashes
    if (chunkHashes.length !== tree.chunks.length * CHUNK_HASH_BYTES) {
      throw badIndex('the previous version has another number of chunk hashes than of chunks')
    }
  }

  get length(): number {
    return this.#table.length
  }

  /** {@link CHUNK_HASH_BYTES} a chunk, in order of number. */
  hashes(): Uint8Array {
    return this.#table.hashes()
  }

  /** @returns the number of the chunk with this content hash, and whether it is still to be stored */
  number(hash: Uint8Array): { chunk: number; isNew: boolean } {
    const previous = this.#findPrevious(hash)
    if (previous !== undefined) return { chunk: this.reuse(previous), isNew: false }
    const chunk = this.#table.findOrAdd(hash)
    const isNew = chunk === this.#block.length
    if (isNew) this.#addRow(0, 0, 0, 0)
    return { chunk, isNew }
  }

  /** @returns the number here of a chunk of the previous version */
  reuse(previousChunk: number): number {
    const known = this.#reused[previousChunk]!
    if (known !== 0) return known - 1
    const { tree, chunkHashes } = this.#previous!
    const chunk = this.#table.addUnfound(chunkHashes.hashes, previousChunk * CHUNK_HASH_BYTES)
    this.#reused[previousChunk] = chunk + 1
    const { block, offset, storedBytes, raw } = tree.chunks
    const bytes = storedBytes[previousChunk]!
    this.#addRow(block[previousChunk]!, offset[previousChunk]!, bytes, raw[previousChunk]!)
    this.storedBytes += bytes
    return chunk
  }

  #findPrevious(hash: Uint8Array): number | undefined {
    if (this.#previous === undefined) return undefined
    this.#previousTable ??= ChunkHashTable.of(this.#previous.chunkHashes.hashes)
    return this.#previousTable.find(hash)
  }

  #addRow(block: number, offset: number, storedBytes: number, raw: number): void {
    this.#block.push(block)
    this.#offset.push(offset)
    this.#storedBytes.push(storedBytes)
    this.#raw.push(raw)
  }

  place(chunk: number, { block, offset, storedBytes, raw }: StoredPlace): void {
    this.#block.set(chunk, block)
    this.#offset.set(chunk, offset)
    this.#storedBytes.set(chunk, storedBytes)
    this.#raw.set(chunk, raw ? 1 : 0)
    this.storedBytes += storedBytes
  }

  /** Where the chunks are; a view that the next chunk may make stale. */
  chunkTable(): ChunkTable {
    return {
      length: this.length,
      block: this.#block.view(),
      offset: this.#offset.view(),
      storedBytes: this.#storedBytes.view(),
      raw: this.#raw.view()
    }
  }
}
