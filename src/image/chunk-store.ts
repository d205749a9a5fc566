import { ChunkHashTable } from './chunk-hash-table.ts'
import { bytesColumn, wordColumn } from './growing-column.ts'
import { CHUNK_HASH_BYTES } from './content-batch.ts'
import { badIndex } from './tree-limits.ts'
import type { ChunkHashes } from './chunk-hashes.ts'
import type { StoredIndex } from './index-part.ts'
import type { TreeBuilder } from './tree-builder.ts'
import type { ChunkTable, Tree } from './tree.ts'

/** A published version whose blocks may be used again. */
export interface PreviousVersion {
  readonly tree: Tree
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
  /** Of each chunk of the previous version its number here plus one; 0 until it is known. */
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
    if (isNew) this.#addRow()
    return { chunk, isNew }
  }

  /** @returns the number here of a chunk of the previous version */
  reuse(previousChunk: number): number {
    const known = this.#reused[previousChunk]!
    if (known !== 0) return known - 1
    const start = previousChunk * CHUNK_HASH_BYTES
    const hash = this.#previous!.chunkHashes.hashes.subarray(start, start + CHUNK_HASH_BYTES)
    const chunk = this.#table.addUnfound(hash)
    this.#reused[previousChunk] = chunk + 1
    this.#addRow()
    this.#placeAsBefore(chunk, previousChunk)
    return chunk
  }

  #findPrevious(hash: Uint8Array): number | undefined {
    if (this.#previous === undefined) return undefined
    this.#previousTable ??= ChunkHashTable.of(this.#previous.chunkHashes.hashes)
    return this.#previousTable.find(hash)
  }

  #addRow(): void {
    this.#block.push(0)
    this.#offset.push(0)
    this.#storedBytes.push(0)
    this.#raw.push(0)
  }

  #placeAsBefore(chunk: number, previousChunk: number): void {
    const { block, offset, storedBytes, raw } = this.#previous!.tree.chunks
    this.place(chunk, {
      block: block[previousChunk]!,
      offset: offset[previousChunk]!,
      storedBytes: storedBytes[previousChunk]!,
      raw: raw[previousChunk] === 1
    })
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

  addTo(builder: TreeBuilder): void {
    for (let chunk = 0; chunk < this.length; chunk++) {
      builder.addChunk(
        this.#block.get(chunk),
        this.#storedBytes.get(chunk),
        this.#raw.get(chunk) === 1,
        this.#offset.get(chunk)
      )
    }
  }
}
